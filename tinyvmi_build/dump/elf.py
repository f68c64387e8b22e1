"""ELF cores: QEMU's `dump-guest-memory` and Xen's `xl dump-core`.

QEMU (dump/dump.c): one PT_LOAD for each block of guest RAM, p_paddr its
guest-physical address; with `paging` also one for each virtual mapping, which
points at the same bytes.  Xen (xen/docs/misc/dump-core-format): sections
instead of segments, `.xen_pages` the pages one after the other, `.xen_pfn` the
u64 frame number of each, or `.xen_p2m` for a PV guest.
"""

from __future__ import annotations

import mmap
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.dump.ranges import DAMAGED, PAGE, Image, Range, merged, whole_pages
from tinyvmi_build.dump.registers import qemu_registers
from tinyvmi_build.elf.reader import (
    ET_CORE,
    ET_DYN,
    ET_EXEC,
    ET_REL,
    PT_LOAD,
    PT_NOTE,
    Elf,
    ElfError,
    Section,
    read_header,
)
from tinyvmi_build.errors import UsageError

_NO_PFN = (1 << 64) - 1
_TYPES = {
    ET_REL: "an object file",
    ET_EXEC: "a program or a vmlinux",
    ET_DYN: "a program or a shared library",
}
_SAVE_AGAIN = "save the memory again"


def read(path: Path, data: mmap.mmap) -> Image:
    """The image in an ELF core; UsageError for any other ELF file and for a damaged core."""
    try:
        header = read_header(data)
        if header.type != ET_CORE:
            raise UsageError(
                f"{path}: an ELF file, but {_TYPES.get(header.type, 'no core')} and no memory dump",
                hint="--dump takes the memory of a guest; kernels go to `profile build`",
            )
        if not header.x86_64:
            raise UsageError(
                f"{path}: a core of another machine than x86-64", hint="TinyVMI checks x86-64 guests only"
            )
        elf = Elf(data)
    except ElfError as error:
        raise UsageError(f"{path}: the dump is truncated or damaged: {error}", hint=_SAVE_AGAIN) from None
    if ".xen_pages" in elf.by_name:
        return Image(path, len(data), "Xen core (xl dump-core)", _xen(path, data, elf.by_name))
    notes = next(((s.offset, s.filesz) for s in elf.segments if s.type == PT_NOTE), (0, 0))
    loads = [
        whole_pages(s.paddr, min(s.filesz, s.memsz), s.offset) for s in elf.segments if s.type == PT_LOAD
    ]
    # A copy of /proc/vmcore lists the kernel's own memory first and again with the other memory.
    frames = merged(path, len(data), [load for load in loads if load], data)
    return Image(path, len(data), "ELF core (QEMU dump-guest-memory)", frames, qemu_registers(data, *notes))


def _xen(path: Path, data: mmap.mmap, sections: dict[str, Section]) -> list[Range]:
    if ".xen_p2m" in sections:
        raise UsageError(
            f"{path}: the dump of a PV guest, whose page tables hold machine frames",
            hint="dumps of PVH and HVM guests can be checked",
        )
    if ".xen_pfn" not in sections:
        raise UsageError(f"{path}: a Xen core without a list of its frames (.xen_pfn)", hint=DAMAGED)
    pages, frames = sections[".xen_pages"], sections[".xen_pfn"]
    if pages.entsize not in (0, PAGE):
        raise UsageError(f"{path}: a Xen core with pages of {pages.entsize} bytes", hint=DAMAGED)
    if frames.offset + frames.size > len(data):
        raise UsageError(f"{path}: the dump is truncated within its list of frames", hint=_SAVE_AGAIN)
    pfns = array("Q", data[frames.offset : frames.offset + frames.size // 8 * 8])
    if sys.byteorder == "big":
        pfns.byteswap()
    if len(pfns) != pages.size // PAGE:
        raise UsageError(
            f"{path}: the dump has {pages.size // PAGE:,} pages and names {len(pfns):,}", hint=DAMAGED
        )
    return merged(path, len(data), _runs(pfns, pages.offset))


def _runs(pfns: array[int], offset: int) -> Iterator[Range]:
    """Consecutive frames as one: a dump may list millions."""
    start = 0
    for i in range(1, len(pfns) + 1):
        if i == len(pfns) or pfns[i] != pfns[i - 1] + 1:
            if pfns[start] != _NO_PFN:
                yield Range(pfns[start], i - start, offset + start * PAGE)
            start = i
