"""registers: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import ONLY_BOOT, Check, FindingKind
from tinyvmi_build.checks.registers import golden, tamper
from tinyvmi_build.checks.registers.golden import RegistersGolden
from tinyvmi_build.checks.registers.table import table
from tinyvmi_build.checks.tamper import RegisterChange


def register_changes(guest_kind: str) -> list[RegisterChange]:
    """Changes of registers in a guest of that kind."""
    return tamper.PV_CHANGES if guest_kind == "pv" else tamper.CHANGES


CHECK = Check(
    name="registers",
    summary="Entry points and protection in every processor's registers; with privilege.vcpu_context.",
    golden=RegistersGolden,
    compute=golden.compute,
    table=table,
    order=70,
    kinds=(
        FindingKind(
            "register",
            "a processor enters the kernel elsewhere, or with less protection, than this kernel sets it up",
            f"{ONLY_BOOT}; breakpoints in the kernel also by kgdb and perf (mem:ADDRESS)",
        ),
        FindingKind(
            "trap", "Xen enters this PV guest elsewhere for a vector than its kernel registers", ONLY_BOOT
        ),
    ),
    possible=lambda config: config.privilege.vcpu_context,
    register_changes=register_changes,
)
