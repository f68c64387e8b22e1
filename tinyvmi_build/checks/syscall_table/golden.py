"""syscall-table: the pointers of the system-call tables as the file has them.

Since 6.1.y stable and 6.9 the native entry dispatches through `x64_sys_call()`
instead; the tables are still used for tracing, audit and 32-bit calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.kernel.relocs import RelocKind
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

TABLES = ("sys_call_table", "ia32_sys_call_table", "x32_sys_call_table")


@dataclass(frozen=True)
class PointerTable:
    """A table: its symbol, its link address, and the link addresses that stand in it."""

    symbol: str
    va: int
    expected: tuple[int, ...]


@dataclass(frozen=True)
class SyscallTableGolden(GoldenValues):
    """The tables that this kernel has."""

    CHECK: ClassVar[str] = "syscall-table"

    tables: tuple[PointerTable, ...]


def _count(image: KernelImage, va: int) -> int:
    """Consecutive relocated 64-bit words from `va` up to the next symbol."""
    end = image.symbols.next_address(va)
    relocated = {site for site, kind in image.relocs_in(va, end) if kind == RelocKind.R64}
    count = 0
    while va + 8 * count in relocated:
        count += 1
    return count


def compute(image: KernelImage) -> SyscallTableGolden:
    """Of a kernel with relocations: they say how long a table is."""
    tables = []
    for name in TABLES:
        va = image.symbols.get(name)
        if va is not None and (count := _count(image, va)):
            tables.append(PointerTable(name, va, tuple(image.u64(va + 8 * i) for i in range(count))))
    if not tables:
        raise UnsupportedError("this kernel has no system-call table")
    return SyscallTableGolden(tuple(tables))
