"""Changes for the `idt` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.idt.golden import IdtGolden
from tinyvmi_build.checks.tamper import Change, Guest

OVERFLOW = 4  # no running program of the target raises it
REENLIGHTENMENT = 0xEE  # a vector that only a guest of Hyper-V uses


def _gate(handler: int, segment: int, bits: int) -> bytes:
    """struct gate_struct (arch/x86/include/asm/desc_defs.h)."""
    return struct.pack("<HHHHII", handler & 0xFFFF, segment, bits, handler >> 16 & 0xFFFF, handler >> 32, 0)


def _set(guest: Guest, vector: int, handler_va: int, bits: int) -> list[tuple[int, bytes]]:
    golden = guest.profile.golden(IdtGolden)
    return [(golden.table_va + 16 * vector, _gate(handler_va + guest.delta, golden.segment, bits))]


def _handler(guest: Guest) -> list[tuple[int, bytes]]:
    bits = guest.profile.golden(IdtGolden).gates[OVERFLOW].bits
    return _set(guest, OVERFLOW, guest.profile.symbols.lookup("asm_exc_bounds"), bits)


def _privilege(guest: Guest) -> list[tuple[int, bytes]]:
    gate = guest.profile.golden(IdtGolden).gates[0x30]
    return _set(guest, 0x30, gate.handlers[0], gate.bits | 3 << 13)


def _optional(guest: Guest) -> list[tuple[int, bytes]]:
    gate = guest.profile.golden(IdtGolden).gates[REENLIGHTENMENT]
    return _set(guest, REENLIGHTENMENT, gate.handlers[-1], gate.bits)


CHANGES = [
    Change("idt-handler", "idt", "the overflow vector to another exception's handler", _handler),
    Change("idt-privilege", "idt", "an interrupt gate opened to user mode (DPL 3)", _privilege),
    Change("benign-idt-vector", None, "a vector that a hypervisor's guest support may install", _optional),
]
