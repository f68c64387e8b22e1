"""registers: the values of its C table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.names import name_of
from tinyvmi_build.checks.registers.golden import RegistersGolden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: RegistersGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes: code addresses are offsets from _text."""

    def offsets(addresses: Iterable[int]) -> list[int]:
        return [va - kernel.text_va for va in addresses]

    values: dict[str, object] = {
        "golden": golden,
        "lstar": offsets(golden.lstar),
        "cstar": offsets(golden.cstar),
        "sysenter": offsets(golden.sysenter),
    }
    if golden.pv is None:
        return values
    pv = golden.pv
    callbacks = ("event_callback", "failsafe_callback", "syscall_callback")
    return values | {
        "callbacks": [(name, getattr(pv, name) - kernel.text_va) for name in callbacks],
        "traps": [
            {
                "vector": vector,
                "handlers": offsets(trap.handlers),
                "flags": trap.flags,
                "symbols": ", ".join(name_of(kernel, va) for va in trap.handlers),
            }
            for vector, trap in enumerate(pv.traps)
        ],
    }
