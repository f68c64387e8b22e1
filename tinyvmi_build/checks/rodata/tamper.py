"""Changes for the `rodata` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.tamper import Change, Guest


def _flip(guest: Guest, va: int) -> list[tuple[int, bytes]]:
    return [(va, bytes([guest.read(va, 1)[0] ^ 0x01]))]


def _function_pointer(guest: Guest) -> list[tuple[int, bytes]]:
    """file_operations of /dev/full: its first pointer (llseek) to another real function."""
    va = guest.profile.symbols.lookup("full_fops")
    pointer = guest.profile.symbols.lookup("noop_llseek") + guest.delta
    return [(va + 8, struct.pack("<Q", pointer))]


def _first(guest: Guest) -> list[tuple[int, bytes]]:
    return _flip(guest, guest.profile.golden(RodataGolden).va)


def _last(guest: Guest) -> list[tuple[int, bytes]]:
    golden = guest.profile.golden(RodataGolden)
    return _flip(guest, golden.va + golden.size - 1)


def _panic_timeout(guest: Guest) -> list[tuple[int, bytes]]:
    return [(guest.profile.symbols.lookup("panic_timeout"), struct.pack("<i", 10))]


def _commas(guest: Guest) -> list[int]:
    """Addresses of the commas in the option string that set_rdt_options() cuts."""
    golden = guest.profile.golden(RodataGolden)
    (cut,) = golden.cuts
    return [golden.va + cut.offset + at for at, char in enumerate(cut.text) if char == ","]


def _half_cut(guest: Guest) -> list[tuple[int, bytes]]:
    return [(_commas(guest)[0], b"\0")]


def _rdt_options(guest: Guest) -> list[tuple[int, bytes]]:
    return [(va, b"\0") for va in _commas(guest)]


CHANGES = [
    Change("rodata-function-pointer", "rodata", "a pointer in a const file_operations", _function_pointer),
    Change("rodata-first-byte", "rodata", "one bit of the first byte", _first),
    Change("rodata-last-byte", "rodata", "one bit of the last byte before ro_after_init", _last),
    Change("rodata-half-cut", "rodata", "one of the commas that set_rdt_options() cuts at", _half_cut),
    Change("benign-rdt-options", None, "all of them, as it does on Skylake-X", _rdt_options),
    Change("benign-panic-timeout", None, "panic_timeout, as by sysctl", _panic_timeout),
]
