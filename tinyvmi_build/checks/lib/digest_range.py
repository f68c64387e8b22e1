"""A range that is compared by digests: struct tv_digest_range (minios_app/checks/lib/digest_range.h).

A page's digest is over its bytes before relocation, so that it holds at every KASLR address: the monitor
takes the relocation back before it digests.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.digests import ALGORITHMS
from tinyvmi_build.kernel.relocs import RelocKind
from tinyvmi_build.profile.encoding import Blob, U16s, U32s

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config

PAGE = 4096
LINE = 64
LINES_PER_PAGE = 64
#: Offsets count from this many bytes before a page.
BIAS = 8
#: The monitor's number of a kind (enum tv_reloc_kind), and the bytes that it changes.
KINDS = {RelocKind.R64: (0, 8), RelocKind.R32: (1, 4), RelocKind.INVERSE32: (2, 4)}


@dataclass(frozen=True)
class DigestRange:
    """Tables of a range's pages.

    sha256, blake3  32 bytes a page
    lines           a 16-bit sum of each line of 64 bytes, 64 a page
    reloc_index     of each page its first entry in `relocs`; one more at the end
    relocs          kind << 14 | offset from 8 bytes before the page
    """

    sha256: Blob
    blake3: Blob
    lines: U16s
    reloc_index: U32s
    relocs: U16s

    def digests(self, config: Config) -> list[bytes]:
        """Of each page, by the algorithm that the configuration names."""
        table: Blob = getattr(self, config.golden.hash)
        return table.rows(32)

    def line_sums(self) -> list[Sequence[int]]:
        """Of each page."""
        sums = self.lines.values
        return [sums[at : at + LINES_PER_PAGE] for at in range(0, len(sums), LINES_PER_PAGE)]


def digest_range(data: bytes, relocs: Sequence[Sequence[int]]) -> DigestRange:
    """Of `data`, with zeros where it is not to be digested; `relocs` are the entries of each page."""
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    digests = {name: Blob(b"".join(map(digest, pages))) for name, digest in ALGORITHMS.items()}
    return DigestRange(
        **digests,
        lines=U16s(b"".join(map(_sums, pages))),
        reloc_index=index_of(relocs),
        relocs=U16s.of(entry for entries in relocs for entry in entries),
    )


def _sums(page: bytes) -> bytes:
    sums = [zlib.crc32(page[at : at + LINE]) & 0xFFFF for at in range(0, len(page), LINE)]
    return struct.pack(f"<{LINES_PER_PAGE}H", *(sums + [0] * (LINES_PER_PAGE - len(sums))))


def index_of(pages: Sequence[Sized]) -> U32s:
    """Where the entries of each page begin among those of all; one more for where they end."""
    return U32s.of(itertools.accumulate((len(page) for page in pages), initial=0))


def relocations_by_page(
    relocs: Iterable[tuple[int, RelocKind]], start: int, npages: int, keep: Callable[[int, int], bool]
) -> list[list[int]]:
    """The entries of each page, sorted; a relocation that crosses a border stands in both pages.

    `keep` says of (address, size) whether the relocation is to be taken back.
    """
    pages: list[list[int]] = [[] for _ in range(npages)]
    for va, kind in relocs:
        number, size = KINDS[kind]
        if not keep(va, size):
            continue
        for page in {(va - start) // PAGE, (va + size - 1 - start) // PAGE}:
            if 0 <= page < npages:
                pages[page].append(number << 14 | (va - start - page * PAGE + BIAS))
    return [sorted(entries, key=lambda entry: entry & 0x3FFF) for entries in pages]
