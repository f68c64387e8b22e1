"""GRUB for a PVH guest, with a kernel in it: that is booted as a bzImage, so its KASLR is active.

`xl` starts a PVH kernel at its ELF entry instead, which leaves it where it was linked.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ..errors import MissingEnvironment
from ..paths import cache_dir
from ..progress import Progress
from .packages import fetch_packages, unpack

# grub-mkimage, what it makes the image of, and the libraries that a small machine has not.
_PACKAGES = (
    *("grub-common", "grub-xen-bin"),
    *("libdevmapper1.02.1", "libselinux1", "libudev1", "liblzma5", "libpcre2-8-0"),
)
_FORMAT = "i386-xen_pvh"
_MODULES = ("memdisk", "tar", "linux", "configfile", "normal", "echo", "test")
_EARLY = "configfile (memdisk)/grub.cfg\n"


def image(kernel: bytes, ramdisk: bytes, options: str, progress: Progress | None = None) -> bytes:
    """An ELF file that `xl` starts as a PVH guest's kernel: it boots `kernel` with these `options`."""
    config = f"linux (memdisk)/vmlinuz {options}\ninitrd (memdisk)/initrd\nboot\n"
    files = {"grub.cfg": config.encode(), "vmlinuz": kernel, "initrd": ramdisk}
    root = unpack(fetch_packages(_PACKAGES, progress=progress).values(), cache_dir("unpacked") / "grub")
    libraries = [root / folder for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")]
    with tempfile.TemporaryDirectory(prefix="tinyvmi-grub.") as name:
        scratch = Path(name)
        (scratch / "early.cfg").write_text(_EARLY)
        (scratch / "memdisk.tar").write_bytes(_tar(files))
        done = subprocess.run(
            [
                *(str(root / "usr/bin/grub-mkimage"), "-d", str(root / "usr/lib/grub" / _FORMAT)),
                *("-O", _FORMAT, "-o", str(scratch / "grub.elf"), "-p", "(memdisk)/"),
                *("-c", str(scratch / "early.cfg"), "-m", str(scratch / "memdisk.tar"), *_MODULES),
            ],
            env=os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, libraries))},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise MissingEnvironment(f"grub-mkimage failed: {done.stderr.strip()}")
        return (scratch / "grub.elf").read_bytes()


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()
