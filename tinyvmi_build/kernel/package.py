"""The forms in which a kernel is given: .deb, vmlinuz, vmlinux, or a folder.

Everything is read with Python's own means, so that a Debian package can be
used on a host without dpkg.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build.errors import UsageError

_AR_MAGIC = b"!<arch>\n"
# Debian: boot/vmlinuz-RELEASE; since 7.x, and elsewhere, usr/lib/modules/RELEASE/vmlinuz.
_IN_PACKAGE = re.compile(
    r"^(?:\./)?(?:boot/vmlinu[zx]-(?P<a>[^/]+)|(?:usr/)?lib/modules/(?P<b>[^/]+)/vmlinu[zx])$"
)
_GLOBS = ("vmlinuz*", "vmlinux*", "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")
_MAX_KERNEL = 1 << 30


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
    """The kernel in `data`, the content of the file at `path`; UsageError if there is none."""
    if data.startswith(_AR_MAGIC):
        return _from_deb(data, path.name)
    if data[:4] != b"\x7fELF" and data[0x202:0x206] != b"HdrS":
        raise UsageError(
            f"{path}: not a kernel" + (" (the file is empty)" if not data else ""),
            hint="give a kernel package (.deb), a vmlinuz, a vmlinux, or a folder with one of them",
        )
    match = _IN_PACKAGE.search("/".join(path.parts[-2:]))
    return KernelFile(path.name, data, match and (match["a"] or match["b"]))


def read_bytes(path: Path) -> bytes:
    """The file's content; UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror}", hint="check the path and its permissions"
        ) from None


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


def is_package(data: bytes) -> bool:
    """Whether `data` is a Debian package."""
    return data.startswith(_AR_MAGIC)


def package_entries(data: bytes, where: str) -> Iterator[tuple[tarfile.TarInfo, Callable[[], bytes]]]:
    """Each file in the Debian package `data`, with what reads it, which works until the next is asked for.

    UsageError, naming `where`, if the package is damaged.
    """
    name, member = _data_member(data, where)
    # A stream: the kernel comes first in Debian's packages, hundreds of megabytes of modules after it.
    with _damage(where), _unpacked(member, name) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for entry in tar:

            def read(entry: tarfile.TarInfo = entry) -> bytes:
                with _damage(where):
                    content = tar.extractfile(entry)
                    return content.read() if content else b""

            yield entry, read


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, ValueError) as error:
        raise UsageError(
            f"{where}: the package is damaged or truncated: {error}", hint="fetch the package again"
        ) from None


def _from_deb(data: bytes, where: str) -> KernelFile:
    for entry, read in package_entries(data, where):
        match = _IN_PACKAGE.match(entry.name)
        if not match or not entry.isfile():
            continue
        if entry.size > _MAX_KERNEL:
            raise UsageError(
                f"{where}: {entry.name} claims {entry.size} bytes", hint="is the package damaged?"
            )
        return KernelFile(where, read(), match["a"] or match["b"])
    raise NoKernelError(
        f"{where}: no kernel in this package",
        hint="a metapackage holds none: give the linux-image-VERSION package that it depends on",
    )


def _data_member(data: bytes, where: str) -> tuple[str, memoryview]:
    """(name, bytes) of the member data.tar.* of a .deb, which is an ar(5) archive."""
    at = len(_AR_MAGIC)
    view = memoryview(data)
    while at + 60 <= len(data):
        header = data[at : at + 60]
        name = header[:16].decode("ascii", "replace").rstrip().rstrip("/")
        if header[58:60] != b"`\n" or not header[48:58].strip().isdigit():
            raise UsageError(f"{where}: the package is damaged at byte {at}", hint="fetch the package again")
        size = int(header[48:58])
        at += 60
        if name.startswith("data.tar"):
            if at + size > len(data):
                raise UsageError(
                    f"{where}: truncated: {at + size - len(data)} bytes are missing",
                    hint="fetch the package again",
                )
            return name, view[at : at + size]
        at += size + size % 2
    raise UsageError(f"{where}: the package holds no data.tar (truncated?)", hint="fetch the package again")


def _unpacked(member: memoryview, name: str) -> io.BufferedIOBase | io.RawIOBase:
    """A stream of the tar archive in a .deb's data member."""
    raw = io.BytesIO(member)
    if name.endswith(".xz"):
        return lzma.LZMAFile(raw)
    if name.endswith(".gz"):
        import gzip

        return gzip.GzipFile(fileobj=raw)
    if name.endswith(".zst"):
        import zstandard

        return _ZstdStream(zstandard, raw)
    return raw


class _ZstdStream(io.RawIOBase):
    """zstandard's reader with its errors turned into OSError, which tarfile and we expect."""

    def __init__(self, zstandard: Any, raw: io.BytesIO):
        self._error = zstandard.ZstdError
        self._reader = zstandard.ZstdDecompressor().stream_reader(raw)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._reader.read(size))
        except self._error as error:
            raise OSError(str(error)) from None
