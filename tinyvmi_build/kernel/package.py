"""The forms in which a kernel is given: .deb, vmlinuz, vmlinux, or a folder.

Everything is read with Python's own means, so that a Debian package can be
used on a host without dpkg.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build import files
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.archive import is_package, package_entries, refuse_foreign

# Debian: boot/vmlinuz-RELEASE; since 7.x, and elsewhere, usr/lib/modules/RELEASE/vmlinuz.
_IN_PACKAGE = re.compile(
    r"^(?:\./)?(?:boot/vmlinu[zx]-(?P<a>[^/]+)|(?:usr/)?lib/modules/(?P<b>[^/]+)/vmlinu[zx])$"
)
_GLOBS = ("vmlinuz*", "vmlinux*", "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")
_KERNEL_BYTES_MAX = 512 << 20
_HEAD = 1 << 20  # bytes of a package that hold its control file
_XLF_KERNEL_64 = 1  # of xloadflags (Documentation/arch/x86/boot.rst)
_HINT = "give a kernel package (.deb), a vmlinuz, a vmlinux, or a folder with one of them"
_NO_KERNEL = (b"\1\0", b"\4\0")  # of ELF's types: object files and cores
_MACHINES = {3: "x86-32", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv"}


class NoKernelError(UsageError):
    """A sound package without a kernel in it."""


@dataclass(frozen=True)
class KernelFile:
    """A kernel's bytes (bzImage or ELF), the name of its file, and the release that its path names."""

    name: str
    data: bytes
    release: str | None


def read_kernel(path: Path) -> KernelFile:
    """The one kernel that `path` holds; UsageError naming what is wrong with it."""
    path = kernel_path(path)
    return kernel_in(read_bytes(path), path)


def kernel_in(data: bytes, path: Path) -> KernelFile:
    """The kernel in `data`, the content of the file at `path`; UsageError if there is none for x86-64."""
    if is_package(data):
        return _from_deb(data, path.name)
    require_x86_64(data, str(path))
    match = _IN_PACKAGE.search("/".join(path.parts[-2:]))
    return KernelFile(path.name, data, match and (match["a"] or match["b"]))


def require_x86_64(data: bytes, where: str) -> None:
    """Raise UsageError unless `data` begins as a kernel for x86-64 does."""
    machine = _machine(data)
    if machine == "":
        empty = " (the file is empty)" if not data else ""
        raise UsageError(f"{where}: not a kernel{empty}", hint=_HINT)
    if machine != "x86-64":
        raise UsageError(f"{where}: a kernel for {machine}", hint="only x86-64 kernels are checked")


def _machine(data: bytes) -> str:
    """What the kernel `data` runs on; "" if it is none."""
    if data[:4] == b"\x7fELF" and data[16:18] not in _NO_KERNEL:
        machine = int.from_bytes(data[18:20], "little" if data[5:6] == b"\1" else "big")
        return _MACHINES.get(machine, f"machine {machine} of ELF") if data[4:5] == b"\2" else "x86-32"
    if data[0x202:0x206] == b"HdrS":
        version, flags = struct.unpack_from("<H", data.ljust(0x238), 0x206)[0], data[0x236:0x237]
        return "x86-32" if version >= 0x20C and flags and not flags[0] & _XLF_KERNEL_64 else "x86-64"
    return "arm64" if data[0x38:0x3C] == b"ARM\x64" else ""


def read_bytes(path: Path) -> bytes:
    """The content of a kernel's file or of a package; UsageError if it is neither, or cannot be read.

    Both say what they are in their first bytes, before hundreds of megabytes are read.
    """
    with files.open_regular(path, files.KERNEL) as handle:
        head = handle.read(_HEAD)
        _require_head(head, path)
        return files.read_rest(path, handle, files.KERNEL, head)


def require_kernel(path: Path) -> None:
    """Raise the UsageError that the head of the file at `path` calls for; the rest is not read."""
    with files.open_regular(path, files.KERNEL) as handle:
        _require_head(handle.read(_HEAD), path)


def _require_head(head: bytes, path: Path) -> None:
    if is_package(head):
        refuse_foreign(head, str(path))
    else:
        require_x86_64(head, str(path))


def kernel_path(path: Path) -> Path:
    """`path`, or the one kernel in it if it is a folder."""
    return _kernel_in_folder(path) if path.is_dir() else path


def _kernel_in_folder(folder: Path) -> Path:
    try:
        found = sorted(
            {p.resolve(): p for glob in _GLOBS for p in sorted(folder.glob(glob)) if p.is_file()}.values()
        )
        debs = sorted(folder.glob("*.deb"))
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be read: {error.strerror}", hint="check its permissions"
        ) from None
    candidates = found or debs
    if not candidates:
        raise UsageError(
            f"{folder}: no kernel in this folder",
            hint="it was searched for vmlinuz*, boot/vmlinuz-*, usr/lib/modules/*/vmlinuz and *.deb",
        )
    if len(candidates) > 1:
        names = ", ".join(str(p.relative_to(folder)) for p in candidates[:6])
        more = f" and {len(candidates) - 6} more" if len(candidates) > 6 else ""
        raise UsageError(f"{folder}: several kernels: {names}{more}", hint="name the files you mean")
    return candidates[0]


def _from_deb(data: bytes, where: str) -> KernelFile:
    for entry, read in package_entries(data, where):
        match = _IN_PACKAGE.match(entry.name)
        if not match or not entry.regular:
            continue
        if entry.size > _KERNEL_BYTES_MAX:
            raise UsageError(
                f"{where}: {entry.name} claims {entry.size} bytes", hint="is the package damaged?"
            )
        kernel = read()
        require_x86_64(kernel, f"{where}: {entry.name}")
        return KernelFile(where, kernel, match["a"] or match["b"])
    raise NoKernelError(
        f"{where}: no kernel in this package",
        hint="a metapackage holds none: give the linux-image-VERSION package that it depends on",
    )
