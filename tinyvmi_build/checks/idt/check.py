"""idt: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.check import ONLY_BOOT, Check, FindingKind
from tinyvmi_build.checks.idt import golden, tamper
from tinyvmi_build.checks.idt.golden import IdtGolden
from tinyvmi_build.checks.idt.table import table


def handler_in(raw: bytes) -> int | None:
    """The handler in a gate's bytes (struct gate_struct, asm/desc_defs.h)."""
    return int.from_bytes(raw[:2] + raw[6:12], "little") if len(raw) == 16 else None


CHECK = Check(
    name="idt",
    summary="Every gate of the interrupt descriptor table.",
    golden=IdtGolden,
    compute=golden.compute,
    table=table,
    order=30,
    kinds=(
        FindingKind(
            "gate",
            "an interrupt or exception enters elsewhere",
            f"{ONLY_BOOT}; the vectors of hypervisors are allowed for",
            address_in=handler_in,
        ),
        FindingKind("mapping", "the CPUs see another frame as their IDT than the kernel's own", "nobody"),
    ),
    changes=tuple(tamper.CHANGES),
)
