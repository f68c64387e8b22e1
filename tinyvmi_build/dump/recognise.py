"""The format of a memory image, from its content."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

from tinyvmi_build.dump import elf, kdump, lime
from tinyvmi_build.dump.ranges import PAGE, Image, Range, merged
from tinyvmi_build.elf.reader import MAGIC
from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import DUMP, mapped

_HEADED: dict[str, tuple[bytes, Callable[[Path, mmap.mmap], Image]]] = {
    "elf": (MAGIC, elf.read),
    "lime": (lime.MAGIC, lime.read),
}
FORMATS = ("raw", *_HEADED, "kdump")
_KNOWN = (
    "raw (at least 1 MiB, whole pages), ELF (QEMU's dump-guest-memory, xl dump-core) and LiME can be read"
)
_MIN_RAW = 1 << 20  # less memory than any x86-64 kernel needs

_AGAIN = "save it as ELF: QEMU's dump-guest-memory without -z, -l, -s; virsh dump --memory-only --format elf"
_UNPACK = "unpack it first"
# What people have at hand and no checker can map in place: magic → (what it is, what to do).
_FOREIGN = {
    b"KDUMP   ": ("a kdump-compressed dump", _AGAIN),
    b"DISKDUMP": ("a diskdump", _AGAIN),
    b"makedumpfile\0": ("a flattened kdump-compressed dump", _AGAIN),
    b"AVML\x02\0\0\0": ("a compressed AVML dump", "convert it: avml-convert FILE OUT.lime"),
    b"LibvirtQemudSave": ("a libvirt save file", "use virsh dump --memory-only --format elf"),
    b"QEVM": ("a QEMU migration stream", "use QEMU's dump-guest-memory"),
    b"QFI\xfb": ("a qcow2 disk image", "use QEMU's dump-guest-memory, not savevm"),
    b"Xen saved domain": ("an xl save file", "use xl dump-core"),
    b"LibxlFmt": ("an xl save file", "use xl dump-core"),
    b"PAGEDU64": ("a Windows crash dump", "only Linux guests are checked"),
    b"\x1f\x8b": ("compressed (gzip)", _UNPACK),
    b"\xfd7zXZ\0": ("compressed (xz)", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("compressed (zstd)", _UNPACK),
    b"BZh": ("compressed (bzip2)", _UNPACK),
    b"PK\x03\x04": ("a zip archive", _UNPACK),
    b"TVMIPROF": ("a profile", "--profile takes profiles, --dump takes the memory of a guest"),
    b"!<arch>\n": ("a package", "kernels go to `profile build`; --dump takes the memory of a guest"),
}


@contextlib.contextmanager
def opened_image(path: Path, format: str | None = None) -> Iterator[Image]:
    """As `read_image`, for every format: what cannot be mapped lies in a temporary file meanwhile."""
    if format == "kdump" or (format is None and kdump.is_kdump(path)):
        if not kdump.is_kdump(path):
            raise UsageError(f"{path}: not a dump of the format 'kdump'", hint=_KNOWN)
        with kdump.expanded(path) as image:
            yield image
    else:
        yield read_image(path, format)


def read_image(path: Path, format: str | None = None) -> Image:
    """Which frames the file at `path` holds, and where; UsageError if it is no memory image.

    `format` is one of FORMATS but "kdump"; None recognises it.  A raw image begins with
    bytes of its guest, who may make them look like the header of another format
    and so choose what is shown: who knows better should say so.
    """
    with mapped(path, DUMP) as data:
        head = data[:16]
        if format is None:
            format = next((name for name, (magic, _) in _HEADED.items() if head.startswith(magic)), None)
        if format is None:
            for magic, (what, hint) in _FOREIGN.items():
                if head.startswith(magic):
                    raise UsageError(f"{path}: {what}, which cannot be read here", hint=hint)
        if format in _HEADED:
            magic, read = _HEADED[format]
            if not head.startswith(magic):
                raise UsageError(f"{path}: not a dump of the format '{format}'", hint=_KNOWN)
            return read(path, data)
        return _raw(path, len(data))


def _raw(path: Path, size: int) -> Image:
    if size < _MIN_RAW or size % PAGE:
        rest = size % PAGE
        why = f"are {rest:,} more than whole pages of {PAGE:,}" if rest else "are less than a kernel needs"
        raise UsageError(
            f"{path}: not a memory image: {size:,} bytes {why}, and no other format is recognised",
            hint=f"was it cut short while it was saved? {_KNOWN}" if rest and size >= _MIN_RAW else _KNOWN,
        )
    return Image(path, size, "raw", merged(path, size, [Range(0, size // PAGE, 0)]))
