"""syscall-table: the pointers of the system-call tables as the file has them.

Since 6.1.y stable and 6.9 the native entry dispatches through `x64_sys_call()`
instead; the tables are still used for tracing, audit and 32-bit calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown
from tinyvmi_build.kernel.relocs import RelocKind

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

TABLES = ("sys_call_table", "ia32_sys_call_table", "x32_sys_call_table")


def _count(image: KernelImage, va: int) -> int:
    """Consecutive relocated 64-bit words from `va` up to the next symbol."""
    end = image.symbols.next_address(va)
    relocated = {site for site, kind in image.relocs_in(va, end) if kind == RelocKind.R64}
    count = 0
    while va + 8 * count in relocated:
        count += 1
    return count


def golden(image: KernelImage) -> dict[str, Any]:
    """`{"tables": [{"symbol", "va", "expected": [link addresses]}]}`."""
    tables = []
    for name in TABLES:
        va = image.symbols.get(name)
        if va is not None and (count := _count(image, va)):
            tables.append(
                {"symbol": name, "va": va, "expected": [image.u64(va + 8 * i) for i in range(count)]}
            )
    if not tables:
        raise Unknown("this kernel has no system-call table")
    return {"tables": tables}
