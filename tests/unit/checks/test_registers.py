"""What a kernel leaves in registers, on bare metal's terms and as a PV guest."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.unit.checks import test_idt
from tests.unit.checks.fake import TEXT, FakeImage
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.registers import golden as registers

TRAPS, XEN_EARLY = TEXT + 0x20000, TEXT + 0x21000
NATIVE = {2: 0x100, 14: 0x200, 0x80: 0x300}  # of test_idt's gates


def image(**changed: Any) -> FakeImage:
    names = {
        "entry_SYSCALL_64": TEXT + 0x10000,
        "entry_SYSCALL_compat": TEXT + 0x10100,
        "entry_SYSCALL32_ignore": TEXT + 0x10200,
        "entry_SYSENTER_compat": TEXT + 0x10300,
        "boot_cpu_data": TEXT + 0x30000,
        "trap_array": TRAPS,
        "behind_trap_array": TRAPS + 24 * 20,
        "xen_early_idt_handler_array": XEN_EARLY,
        "behind_early": XEN_EARLY + 8 * 32,
        "xen_asm_exc_xen_unknown_trap": TEXT + 0x22000,
        "xen_asm_exc_xen_hypervisor_callback": TEXT + 0x22010,
        "xen_failsafe_callback": TEXT + 0x22020,
        "xen_entry_SYSCALL_64": TEXT + 0x22030,
    }
    made = test_idt.image(**{**names, **changed})
    entries = [*NATIVE.values(), *range(0x1000, 0x1000 + 14)]
    made.memory[TRAPS] = b"".join(
        struct.pack("<QQQ", TEXT + native, TEXT + 0x23000 + native, 0) for native in entries
    )
    return made


def test_entry_points() -> None:
    golden = registers.compute(image())  # type: ignore[arg-type]
    assert golden.lstar == (TEXT + 0x10000,)
    assert golden.cstar == (
        TEXT + 0x10100,
        TEXT + 0x10200,
    )
    assert golden.sysenter == (TEXT + 0x10300,)
    assert golden.capability_va == TEXT + 0x30000 + 40
    assert golden.star == 0x0023_0010 << 32


def test_a_kernel_without_32_bit_programs() -> None:
    golden = registers.compute(image(entry_SYSCALL_compat=None, entry_SYSENTER_compat=None))  # type: ignore[arg-type]
    assert (golden.cstar, golden.sysenter) == ((TEXT + 0x10200,), ())


def test_traps_of_a_pv_guest() -> None:
    traps = registers.compute(image()).pv.traps  # type: ignore[arg-type]
    assert traps[2] == registers.PvTrap((TEXT + 0x23100,), 4)
    assert traps[0x80] == registers.PvTrap((TEXT + 0x23300,), 7)  # from user mode, too
    assert traps[15].handlers == (XEN_EARLY + 8 * 15, TEXT + 0x22000)
    assert traps[0x20].handlers == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"trap_array": None}, "as a PV guest of Xen: this kernel has no symbol trap_array"),
        ({"xen_entry_SYSCALL_64": None}, "no symbol xen_entry_SYSCALL_64"),
        ({"behind_trap_array": TRAPS + 24 * 3}, "table of trap handlers is not where"),
    ],
)
def test_a_kernel_that_is_unsupported_as_a_pv_guest(changed: dict[str, Any], reason: str) -> None:
    golden = registers.compute(image(**changed))  # type: ignore[arg-type]
    assert reason in golden.pv_unsupported
    assert golden.lstar


def test_a_kernel_without_the_entry_point() -> None:
    with pytest.raises(UnsupportedError, match="no symbol entry_SYSCALL_64"):
        registers.compute(image(entry_SYSCALL_64=None))  # type: ignore[arg-type]
