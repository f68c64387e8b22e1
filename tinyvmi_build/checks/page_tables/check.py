"""page-tables: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind, pointer_in
from tinyvmi_build.checks.page_tables import golden, tamper

CHECK = Check(
    name="page-tables",
    summary="That every task sees the same kernel: the roots of page tables.",
    order=60,
    kinds=(
        FindingKind(
            "pointer",
            "init_mm has another root of page tables than init_top_pgt",
            "nobody",
            address_in=pointer_in,
        ),
        FindingKind(
            "page-table", "this address space has another view of the kernel than init_top_pgt", "nobody"
        ),
    ),
    changes=tuple(tamper.CHANGES),
    golden=golden.golden,
)
