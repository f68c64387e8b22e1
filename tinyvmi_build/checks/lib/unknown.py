"""The answer of a golden-value module that does not know a kernel's mechanism."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tinyvmi_build.kernel.symbols import SymbolTable


class Unknown(Exception):
    """Why this kernel cannot be judged by a check (shown as the reason of `unverifiable`)."""


class Named(Protocol):
    """What has a kernel's symbols."""

    @property
    def symbols(self) -> SymbolTable: ...


def require(image: Named, name: str) -> int:
    """Link address of symbol `name`; Unknown if the kernel has none."""
    try:
        return image.symbols.lookup(name)
    except KeyError:
        raise Unknown(f"this kernel has no symbol {name}") from None
