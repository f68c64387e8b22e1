"""The gates that the kernel's own tables install."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tinyvmi_build.checks.idt import golden as idt
from tinyvmi_build.checks.lib.unsupported import UnsupportedError

EARLY, IRQ, SPURIOUS, DEF, APIC = (TEXT + offset for offset in (0x1000, 0x2000, 0x2660, 0x4000, 0x5000))


def entry(vector: int, bits: int, handler: int) -> bytes:
    return struct.pack("<IIHHIQ", vector, 0x10, bits, 0, 0, handler)


def stubs(first: int, count: int) -> bytes:
    return b"".join(bytes([0x6A, first + i]) + b"\xe9" + bytes(5) for i in range(count))


def image(**changed: Any) -> FakeImage:
    names = {
        "_text": TEXT,
        "early_idt_handler_array": EARLY,
        "early_idt_handler_common": EARLY + 9 * 32,
        "irq_entries_start": IRQ,
        "spurious_entries_start": SPURIOUS,
        "def_idts": DEF,
        "def_idts_end": DEF + 96,
        "apic_idts": APIC,
        "apic_idts_end": APIC + 48,
        "idt_table": TEXT + 0x8000,
        "asm_sysvec_xen_hvm_callback": TEXT + 0x7000,
    }
    names.update(changed)
    memory = {
        IRQ: stubs(0x20, 204),
        SPURIOUS: stubs(0xEC, 20),
        DEF: entry(2, 0x8E02, TEXT + 0x100)
        + entry(14, 0x8E00, TEXT + 0x200)
        + entry(0x80, 0xEE00, TEXT + 0x300)
        + entry(0, 0, 0),
        APIC: entry(0xEC, 0x8E00, TEXT + 0x400) + entry(0xFD, 0x8E00, TEXT + 0x500),
    }
    return FakeImage(FakeSymbols({k: v for k, v in names.items() if v is not None}), memory)


def test_every_vector_has_its_handler() -> None:
    gates = idt.compute(image()).gates  # type: ignore[arg-type]
    assert len(gates) == 256
    assert gates[2] == idt.Gate((TEXT + 0x100,), 0x8E02)
    assert gates[0x80] == idt.Gate((TEXT + 0x300,), 0xEE00)
    assert gates[15] == idt.Gate((EARLY + 9 * 15,), 0x8E00)
    assert gates[0x20].handlers == (IRQ,)
    assert gates[0xEB].handlers == (IRQ + 8 * (0xEB - 0x20),)
    assert gates[0xEC].handlers == (TEXT + 0x400,)
    assert gates[0xED].handlers == (SPURIOUS + 8,)


def test_a_vector_of_guest_support_may_have_either_handler() -> None:
    gates = idt.compute(image()).gates  # type: ignore[arg-type]
    assert gates[0xF3].handlers == (
        SPURIOUS + 8 * 7,
        TEXT + 0x7000,
    )
    bare = idt.compute(image(asm_sysvec_xen_hvm_callback=None)).gates  # type: ignore[arg-type]
    assert bare[0xF3].handlers == (SPURIOUS + 8 * 7,)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"spurious_entries_start": SPURIOUS + 1}, "entry stubs do not have the form"),
        ({"irq_entries_start": None}, "no symbol irq_entries_start"),
        ({"early_idt_handler_common": EARLY + 32 * 11}, "11 bytes apart"),
        ({"def_idts": None}, "not where this generator expects"),
    ],
)
def test_what_is_not_known_has_a_name(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        idt.compute(image(**changed))  # type: ignore[arg-type]
