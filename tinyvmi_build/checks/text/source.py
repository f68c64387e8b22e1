"""What the patchers ask of the file whose code they patch: a kernel's, or a module's linked to one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tinyvmi_build.kernel.btf import Btf
    from tinyvmi_build.kernel.relocs import RelocKind
    from tinyvmi_build.kernel.symbols import SymbolTable


class CodeImage(Protocol):
    """`KernelImage` and `golden.modules.link.ModuleImage`; addresses are link addresses."""

    @property
    def symbols(self) -> SymbolTable:
        """The kernel's."""

    @property
    def btf(self) -> Btf:
        """The kernel's."""

    def read(self, va: int, n: int) -> bytes: ...

    def is_code(self, va: int) -> bool:
        """Whether text that stays loaded lies there: the kernel's or, seen from a module, a module's."""

    def u64(self, va: int) -> int: ...

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]: ...

    def relocs_in(self, start_va: int, end_va: int) -> list[tuple[int, RelocKind]]: ...
