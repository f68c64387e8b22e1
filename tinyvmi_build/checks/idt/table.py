"""idt: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.idt.golden import IdtGolden
from tinyvmi_build.checks.lib.names import name_of

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: IdtGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    return {
        "table_va": golden.table_va,
        "alias_va": golden.alias_va,
        "segment": golden.segment,
        "gates": [
            {
                "handlers": [va - kernel.text_va for va in gate.handlers],
                "bits": gate.bits,
                "symbols": ", ".join(name_of(kernel, va) for va in gate.handlers),
            }
            for gate in golden.gates
        ],
    }
