"""syscall-table: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import Check, FindingKind, pointer_in
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.checks.syscall_table import golden, tamper
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.checks.syscall_table.table import table

CHECK = Check(
    name="syscall-table",
    summary="Every entry of the system call tables.",
    golden=SyscallTableGolden,
    compute=golden.compute,
    needs=(Needs.POINTERS,),
    table=table,
    order=20,
    kinds=(
        FindingKind(
            "pointer",
            "a system call leads elsewhere",
            "nobody: tracers hook the entries of functions and not this table",
            address_in=pointer_in,
        ),
    ),
    changes=tuple(tamper.CHANGES),
)
