"""GRUB with a kernel for a guest: that is booted as a bzImage, so its KASLR is active.

For PVH an ELF file that `xl` starts (given the kernel itself, it would start that at its ELF entry and leave
it where it was linked); for HVM a disk, from which firmware and GRUB read much faster than the kernel of
`kernel =` comes through a port of the device model, byte by byte.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.packages import fetch_packages, unpack
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

# grub-mkimage, what it makes the images of, and the libraries that a small machine has not.
_PACKAGES = (
    *("grub-common", "grub-xen-bin", "grub-pc-bin"),
    *("libdevmapper1.02.1", "libselinux1", "libudev1", "liblzma5", "libpcre2-8-0"),
)
_MODULES = ("tar", "linux", "configfile", "normal", "echo", "test")
_SECTOR = 512
_PARTITION = 2048  # its first sector
_LINUX = 0x83  # the partition's type; GRUB reads what is in it
_TABLE = 446  # where a boot sector has the partition table


def image(kernel: bytes, ramdisk: bytes, options: str, progress: Progress | None = None) -> bytes:
    """An ELF file that `xl` starts as a PVH guest's kernel: it boots `kernel` with these `options`."""
    files = {"memdisk.tar": _tar(kernel, ramdisk, options, "memdisk")}
    modules = ("memdisk", *_MODULES)
    return _core("i386-xen_pvh", "(memdisk)/", modules, ("-m", "memdisk.tar"), files, progress)


def disk(kernel: bytes, ramdisk: bytes, options: str, progress: Progress | None = None) -> bytes:
    """A disk that a PC's firmware starts: GRUB, and a partition that is a tar archive, which it can read."""
    modules = ("biosdisk", "part_msdos", *_MODULES)
    core = _core("i386-pc", "(hd0,msdos1)/", modules, (), {}, progress)
    contents = _tar(kernel, ramdisk, options, "hd0,msdos1")
    contents += bytes(-len(contents) % _SECTOR)
    # No CHS addresses (zeros): GRUB takes the other ones.
    entry = struct.pack("<B3sB3sII", 0x80, b"", _LINUX, b"", _PARTITION, len(contents) // _SECTOR)
    boot = bytearray((_root(progress) / "usr/lib/grub/i386-pc/boot.img").read_bytes())
    boot[_TABLE : _TABLE + 64] = entry.ljust(64, b"\0")
    head = bytes(boot) + core  # boot.img goes on with the second sector, where core finds the rest of itself
    if len(head) > _PARTITION * _SECTOR:
        raise MissingEnvironmentError(f"GRUB takes {len(head)} bytes, too many in front of a partition")
    return head.ljust(_PARTITION * _SECTOR, b"\0") + contents


def _root(progress: Progress | None) -> Path:
    return unpack(fetch_packages(_PACKAGES, progress=progress).values(), cache_dir("unpacked") / "grub")


def _core(
    kind: str,
    prefix: str,
    modules: Iterable[str],
    more: Iterable[str],
    files: dict[str, bytes],
    progress: Progress | None,
) -> bytes:
    """What grub-mkimage makes; `files` lie where it runs."""
    root = _root(progress)
    libraries = [root / folder for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")]
    with tempfile.TemporaryDirectory(prefix="tinyvmi-grub.") as name:
        scratch = Path(name)
        for file, content in (files | {"early.cfg": f"configfile {prefix}grub.cfg\n".encode()}).items():
            (scratch / file).write_bytes(content)
        done = subprocess.run(
            [
                *(str(root / "usr/bin/grub-mkimage"), "-d", str(root / "usr/lib/grub" / kind), "-O", kind),
                *("-o", "core", "-p", prefix, "-c", "early.cfg", *more, *modules),
            ],
            cwd=scratch,
            env=os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MissingEnvironmentError(f"grub-mkimage failed: {done.stderr.strip()}")
        return (scratch / "core").read_bytes()


def _tar(kernel: bytes, ramdisk: bytes, options: str, where: str) -> bytes:
    """An archive of all that GRUB boots, which it will see at `where`."""
    config = f"linux ({where})/vmlinuz {options}\ninitrd ({where})/initrd\nboot\n"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (("grub.cfg", config.encode()), ("vmlinuz", kernel), ("initrd", ramdisk)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
