"""What dom0 needs besides for an HVM guest: the device model (Xen's QEMU), its libraries and its firmware."""

from __future__ import annotations

import io
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.cpio import Archive
from tinyvmi_build.lab.machine.libraries import closure
from tinyvmi_build.lab.machine.packages import SUITE, XEN_VERSIONS, fetch_packages, unpack
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

_XEN = XEN_VERSIONS[SUITE]
# The emulator, and the packages of all libraries that it is linked with.
_PACKAGES = (
    *("qemu-system-xen", "qemu-system-data", "seabios", f"xen-utils-{_XEN}"),
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "liblzma5", "libzstd1", "libbz2-1.0", "libffi8"),
    *("libfdt1", "libglib2.0-0", "libjpeg62-turbo", "libpixman-1-0", "libusb-1.0-0", "libudev1"),
    *("libspice-server1", "libgstreamer1.0-0", "libgstreamer-plugins-base1.0-0", "liborc-0.4-0"),
    *("libopus0", "libsasl2-2", "libssl3", "liblz4-1", "libpcre2-8-0", "libunwind8", "libdw1", "libelf1"),
    *(f"libxenmisc{_XEN}", "libxenstore4", "libxencall1", "libxenevtchn1", "libxenforeignmemory1"),
    *("libxengnttab1", "libxentoolcore1", "libxentoollog1", "libxendevicemodel1"),
)
_PROGRAM = "usr/libexec/xen-qemu-system-i386"  # where Debian's libxl looks for it
_FILES = (
    f"usr/lib/xen-{_XEN}/boot/hvmloader",
    "usr/share/seabios/bios-256k.bin",
    "usr/share/qemu/linuxboot.bin",  # brings the kernel of `kernel=` in, as a boot loader does
    "usr/share/qemu/linuxboot_dma.bin",
    "usr/share/qemu/kvmvapic.bin",
    "usr/share/qemu/keymaps/en-us",  # without it QEMU ends at once, and xl tells of a reset QMP connection
)


def archive(progress: Progress | None = None) -> bytes:
    """An initramfs to lay over dom0's base (SUITE's)."""
    packages = fetch_packages(_PACKAGES, progress=progress)
    root = unpack(packages.values(), cache_dir("unpacked") / "device-model")
    made = Archive()
    made.file(_PROGRAM, root / _PROGRAM, 0o755)
    for soname, path in closure(root, [root / _PROGRAM]).items():
        folder = "usr/lib64" if soname.startswith("ld-linux") else "usr/lib/x86_64-linux-gnu"
        made.file(f"{folder}/{soname}", path, 0o755)
    for name in _FILES:
        made.file(name, _file(root, name))
    out = io.BytesIO()
    made.write(out)
    return out.getvalue()


def _file(root: Path, name: str) -> Path:
    path = root / name
    if not path.is_file():
        raise MissingEnvironmentError(f"no fetched package holds {name}")
    return path
