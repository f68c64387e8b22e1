"""ELF cores: QEMU's `dump-guest-memory` and Xen's `xl dump-core`.

QEMU (dump/dump.c): one PT_LOAD for each block of guest RAM, p_paddr its
guest-physical address; with `paging` also one for each virtual mapping, which
points at the same bytes.  Xen (xen/docs/misc/dump-core-format): sections
instead of segments, `.xen_pages` the pages one after the other, `.xen_pfn` the
u64 frame number of each, or `.xen_p2m` for a PV guest.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.dump.ranges import DAMAGED, PAGE, Image, Range, merged, whole_pages
from tinyvmi_build.dump.registers import qemu_registers
from tinyvmi_build.errors import UsageError

MAGIC = b"\x7fELF"
_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_ET_CORE, _EM_X86_64, _PT_LOAD, _PT_NOTE, _PN_XNUM = 4, 62, 1, 4, 0xFFFF
_CLASS64, _LITTLE = 2, 1
_MAX_NAMES = 1 << 16  # bytes of section names
_NO_PFN = (1 << 64) - 1
_TYPES = {1: "an object file", 2: "a program or a vmlinux", 3: "a program or a shared library"}


def read(path: Path, data: mmap.mmap) -> Image:
    """The image in an ELF core; UsageError for any other ELF file and for a damaged core."""
    if len(data) < _EHDR.size:
        raise UsageError(f"{path}: the dump is truncated within its header", hint="save the memory again")
    ident, kind, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, shstr = _EHDR.unpack_from(
        data
    )
    if kind != _ET_CORE:
        raise UsageError(
            f"{path}: an ELF file, but {_TYPES.get(kind, 'no core')} and no memory dump",
            hint="--dump takes the memory of a guest; kernels go to `profile build`",
        )
    if ident[4] != _CLASS64 or ident[5] != _LITTLE or machine != _EM_X86_64:
        raise UsageError(
            f"{path}: a core of another machine than x86-64", hint="only x86-64 guests are judged"
        )
    sections = _sections(path, data, shoff, shsize, shnum, shstr)
    if ".xen_pages" in sections:
        return Image(path, len(data), "Xen core (xl dump-core)", _xen(path, data, sections))
    if phnum == _PN_XNUM:
        # More segments than the field holds: the first section header counts them (elf(5)).
        _table(path, data, shoff, shsize, 1, _SHDR)
        phnum = _SHDR.unpack_from(data, shoff)[7]
    _table(path, data, phoff, phsize, phnum, _PHDR)
    segments = [_PHDR.unpack_from(data, phoff + i * phsize) for i in range(phnum)]
    notes = next(((offset, filesz) for t, _, offset, _, _, filesz, *_ in segments if t == _PT_NOTE), (0, 0))
    loads = [
        (paddr, min(filesz, memsz), offset)
        for t, _, offset, _, paddr, filesz, memsz, _ in segments
        if t == _PT_LOAD
    ]
    ranges = [r for load in loads if (r := whole_pages(*load))]
    frames = merged(path, len(data), ranges)
    return Image(path, len(data), "ELF core (QEMU dump-guest-memory)", frames, qemu_registers(data, *notes))


def _table(path: Path, data: mmap.mmap, offset: int, size: int, count: int, entry: struct.Struct) -> None:
    """Refuse a table of headers that is not wholly in the file."""
    if count and (size < entry.size or offset + size * count > len(data)):
        raise UsageError(f"{path}: the dump's headers are cut short or damaged", hint="save the memory again")


def _sections(
    path: Path, data: mmap.mmap, offset: int, size: int, count: int, strings: int
) -> dict[str, tuple[int, int, int]]:
    """Name → (offset, size, entry size)."""
    _table(path, data, offset, size, count, _SHDR)
    if strings >= count:
        return {}
    headers = [_SHDR.unpack_from(data, offset + i * size) for i in range(count)]
    at, size = headers[strings][4:6]
    names = data[at : at + min(size, _MAX_NAMES)]
    found = {}
    for name, _, _, _, at, length, _, _, _, each in headers:
        found[names[name : name + 32].partition(b"\0")[0].decode("latin-1")] = (at, length, each)
    return found


def _xen(path: Path, data: mmap.mmap, sections: dict[str, tuple[int, int, int]]) -> list[Range]:
    if ".xen_p2m" in sections:
        raise UsageError(
            f"{path}: the dump of a PV guest, whose page tables hold machine frames",
            hint="dumps of PVH and HVM guests can be judged",
        )
    if ".xen_pfn" not in sections:
        raise UsageError(f"{path}: a Xen core without a list of its frames (.xen_pfn)", hint=DAMAGED)
    pages, bytes_of_pages, page = sections[".xen_pages"]
    listed, size, _ = sections[".xen_pfn"]
    if page not in (0, PAGE):
        raise UsageError(f"{path}: a Xen core with pages of {page} bytes", hint=DAMAGED)
    if listed + size > len(data):
        raise UsageError(
            f"{path}: the dump is truncated within its list of frames", hint="save the memory again"
        )
    pfns = array("Q", data[listed : listed + size // 8 * 8])
    if sys.byteorder == "big":
        pfns.byteswap()
    if len(pfns) != bytes_of_pages // PAGE:
        raise UsageError(
            f"{path}: the dump has {bytes_of_pages // PAGE:,} pages and names {len(pfns):,}", hint=DAMAGED
        )
    return merged(path, len(data), _runs(pfns, pages))


def _runs(pfns: array[int], offset: int) -> Iterator[Range]:
    """Consecutive frames as one: a dump may list millions."""
    start = 0
    for i in range(1, len(pfns) + 1):
        if i == len(pfns) or pfns[i] != pfns[i - 1] + 1:
            if pfns[start] != _NO_PFN:
                yield Range(pfns[start], i - start, offset + start * PAGE)
            start = i
