"""rodata: each page of .rodata up to ro_after_init, as the package's file has it.

Nothing changes these bytes after the decompressor has relocated them, so a
page's digest over the *unrelocated* bytes holds at every KASLR address; the
monitor takes the relocation back before it digests.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.digests import tables
from tinyvmi_build.checks.lib.unknown import Unknown, require
from tinyvmi_build.kernel.relocs import RelocKind

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

PAGE = 4096
LINE = 64
#: Offsets are kept from this many bytes before a page (minios_app/include/tinyvmi/profile.h).
BIAS = 8
#: The monitor's number of a kind (enum tv_reloc_kind), and the bytes that it changes.
KINDS = {RelocKind.R64: (0, 8), RelocKind.R32: (1, 4), RelocKind.INVERSE32: (2, 4)}


#: Constants that boot code cuts at their commas, though they are constants: strsep() in
#: set_rdt_options() (arch/x86/kernel/cpu/resctrl/core.c), called on Skylake-X before .rodata is protected.
CUT_STRINGS = (b"!cmt,!mbmtotal,!mbmlocal,!l3cat",)


def _bounds(image: KernelImage) -> tuple[int, int]:
    start, end = require(image, "__start_rodata"), require(image, "__start_ro_after_init")
    if start % PAGE or not start < end:
        raise Unknown("the bounds of .rodata are not what this generator expects")
    return start, end


def golden(image: KernelImage) -> dict[str, Any]:
    """`{"symbol", "va", "size", "cuts"}`; the tables are in `blobs`.

    `cuts` are the constants that the kernel itself may cut: `{"offset" (from va), "text"}`.
    """
    start, end = _bounds(image)
    cuts = _cuts(image.read(start, end - start))
    return {"symbol": "__start_rodata", "va": start, "size": end - start, "cuts": cuts}


def _cuts(data: bytes) -> list[dict[str, Any]]:
    """Only a whole string is one: the tail of a longer one (which linkers share) is cut all the same."""
    found = []
    for text in CUT_STRINGS:
        at = data.find(text + b"\0")
        while at >= 0:
            found.append({"offset": at, "text": text.decode()})
            at = data.find(text + b"\0", at + 1)
    return found


def blobs(image: KernelImage) -> dict[str, bytes]:
    """Tables by name.

    `rodata`: the file's bytes; `rodata.sha256`, `rodata.blake3`: 32 bytes a page;
    `rodata.lines`: u16 a line of 64 bytes, 64 a page; `rodata.reloc_index`: u32,
    pages + 1; `rodata.relocs`: u16, kind << 14 | offset from 8 bytes before the page.
    """
    start, end = _bounds(image)
    data = image.read(start, end - start)
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    lines = bytearray()
    for page in pages:
        sums = [zlib.crc32(page[at : at + LINE]) & 0xFFFF for at in range(0, len(page), LINE)]
        lines += struct.pack("<64H", *(sums + [0] * (64 - len(sums))))
    index, relocs = _relocations(image, start, end, len(pages))
    return {
        "rodata": data,
        **tables("rodata", pages),
        "rodata.lines": bytes(lines),
        "rodata.reloc_index": index,
        "rodata.relocs": relocs,
    }


def _relocations(image: KernelImage, start: int, end: int, npages: int) -> tuple[bytes, bytes]:
    """Relocations sorted by page; one that crosses a border stands in both pages."""
    per_page: list[list[int]] = [[] for _ in range(npages)]
    for va, kind in image.relocs_in(start - BIAS, end):
        number, size = KINDS[kind]
        for page in {(va - start) // PAGE, (va + size - 1 - start) // PAGE}:
            if 0 <= page < npages:
                per_page[page].append(number << 14 | (va - start - page * PAGE + BIAS))
    index, flat = [0], []
    for entries in per_page:
        flat += sorted(entries, key=lambda entry: entry & 0x3FFF)
        index.append(len(flat))
    return struct.pack(f"<{len(index)}I", *index), struct.pack(f"<{len(flat)}H", *flat)
