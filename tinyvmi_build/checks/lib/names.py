"""Names of addresses, for comments in generated C."""

from __future__ import annotations

from typing import Protocol


class Symbols(Protocol):
    def nearest(self, va: int, /) -> tuple[str, int] | None: ...


class Kernel(Protocol):
    """The part of a KernelProfile that is needed here."""

    @property
    def symbols(self) -> Symbols: ...


def name_of(kernel: Kernel, va: int) -> str:
    """`symbol+0xOFFSET`, or the address where no symbol is below it."""
    found = kernel.symbols.nearest(va)
    if found is None:
        return f"{va:#x}"
    name, offset = found
    return f"{name}+{offset:#x}" if offset else name
