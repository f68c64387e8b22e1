"""function-pointers: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind, pointer_in
from tinyvmi_build.checks.function_pointers import golden, tamper
from tinyvmi_build.checks.function_pointers.golden import FunctionPointersGolden
from tinyvmi_build.checks.function_pointers.table import table
from tinyvmi_build.checks.needs import Needs

CHECK = Check(
    name="function-pointers",
    summary="Every static pointer to a function, or to a table of them.",
    golden=FunctionPointersGolden,
    compute=golden.compute,
    needs=(Needs.POINTERS,),
    table=table,
    order=50,
    kinds=(
        FindingKind(
            "pointer",
            "the kernel would call other code here than its package says",
            "nobody: none of the kernel's own code puts this there",
            address_in=pointer_in,
        ),
    ),
    changes=tuple(tamper.CHANGES),
)
