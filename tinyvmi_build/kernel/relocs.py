"""The relocations that the decompressor applies, appended behind the kernel's ELF file.

Written by arch/x86/tools/relocs.c (emit_relocs), read from the end by
handle_relocations() of arch/x86/boot/compressed/misc.c: for each list a zero
and then 32-bit addresses, in the order 64-bit, inverse 32-bit, 32-bit.  The
inverse list went with zero-based per-CPU addresses in Linux 6.15.
"""

from __future__ import annotations

import enum
import sys
from array import array
from bisect import bisect_left
from dataclasses import dataclass

from tinyvmi_build.errors import UsageError


class RelocKind(enum.StrEnum):
    """How the KASLR delta is applied."""

    R64 = "64"  # u64 += delta
    R32 = "32"  # u32 += delta
    INVERSE32 = "inverse-32"  # u32 -= delta: per-CPU references


@dataclass(frozen=True)
class Relocations:
    """Sorted link addresses, array('Q') each; all empty if the kernel carries none."""

    r64: array[int]
    r32: array[int]
    inverse32: array[int]

    def __len__(self) -> int:
        return len(self.r64) + len(self.r32) + len(self.inverse32)

    def within(self, start: int, end: int) -> list[tuple[int, RelocKind]]:
        """(address, kind) of the relocations at start <= address < end, sorted."""
        found = []
        for kind, addresses in (
            (RelocKind.R64, self.r64),
            (RelocKind.R32, self.r32),
            (RelocKind.INVERSE32, self.inverse32),
        ):
            chosen = addresses[bisect_left(addresses, start) : bisect_left(addresses, end)]
            found += [(va, kind) for va in chosen]
        return sorted(found)


def parse_relocations(tail: bytes, where: str) -> Relocations:
    """Relocations from `tail`, the bytes behind the ELF file; UsageError if they are no such lists."""
    if not tail:
        return Relocations(array("Q"), array("Q"), array("Q"))
    if len(tail) % 4 or tail[:4] != bytes(4):
        raise UsageError(
            f"{where}: {len(tail)} bytes behind the ELF file are not relocations",
            hint="is the package damaged?",
        )
    words = array("I", tail)
    if sys.byteorder == "big":
        words.byteswap()
    lists: list[list[int]] = [[]]
    start = 1
    while True:
        try:
            stop = words.index(0, start)
        except ValueError:
            lists[-1] = [_link_va(w) for w in words[start:]]
            break
        lists[-1] = [_link_va(w) for w in words[start:stop]]
        lists.append([])
        start = stop + 1
        if len(lists) > 3:
            raise UsageError(f"{where}: more than three lists of relocations", hint="is the package damaged?")
    if len(lists) == 1:
        raise UsageError(f"{where}: the lists of relocations are cut short", hint="is the package complete?")
    r64, *inverse, r32 = (array("Q", sorted(values)) for values in lists)
    return Relocations(r64, r32, inverse[0] if inverse else array("Q"))


def _link_va(word: int) -> int:
    return word | 0xFFFFFFFF00000000 if word & 0x80000000 else word
