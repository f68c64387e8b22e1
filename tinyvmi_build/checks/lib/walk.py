"""Where kernel memory outside of the kernel's image lies: a walk through the guest's page tables."""

from __future__ import annotations

from collections.abc import Callable

_ADDRESS = 0x000FFFFFFFFFF000


def physical(read: Callable[[int, int], bytes], root: int, va: int, levels: int = 4) -> int:
    """Physical address of running address `va`; `read` takes a physical address and a size.

    LookupError if it is not mapped.
    """
    table = root
    for level in range(levels, 0, -1):
        shift = 12 + 9 * (level - 1)
        entry = int.from_bytes(read(table + 8 * (va >> shift & 511), 8), "little")
        if not entry & 1:
            raise LookupError(f"{va:#x} is not mapped")
        if level == 1 or (entry & 0x80 and level <= 3):
            return entry & _ADDRESS & -(1 << shift) | va & (1 << shift) - 1
        table = entry & _ADDRESS
    raise LookupError(f"{va:#x} is not mapped")
