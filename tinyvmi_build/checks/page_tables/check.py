"""page-tables: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind, pointer_in
from tinyvmi_build.checks.page_tables import golden, tamper
from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.checks.page_tables.table import table

CHECK = Check(
    name="page-tables",
    summary="That every task sees the same kernel: the roots of page tables.",
    golden=PageTablesGolden,
    compute=golden.compute,
    table=table,
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
    grows=True,
    changes=tuple(tamper.CHANGES),
)
