"""The answer of a check that cannot verify a kernel: the mechanism, or the input, is not what it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tinyvmi_build.kernel.symbols import SymbolTable


class UnsupportedError(Exception):
    """Why a check cannot verify this kernel (shown as the reason of `unverifiable`)."""


class Named(Protocol):
    """What has a kernel's symbols."""

    @property
    def symbols(self) -> SymbolTable: ...


def require(image: Named, name: str) -> int:
    """Link address of symbol `name`; UnsupportedError if the kernel has none."""
    try:
        return image.symbols.lookup(name)
    except KeyError:
        raise UnsupportedError(f"this kernel has no symbol {name}") from None
