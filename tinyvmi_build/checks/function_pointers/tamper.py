"""Changes for the `function-pointers` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.function_pointers.golden import FunctionPointersGolden
from tinyvmi_build.checks.tamper import Change, Guest


def _set(guest: Guest, va: int, function: str) -> list[tuple[int, bytes]]:
    return [(va, struct.pack("<Q", guest.profile.symbols.lookup(function) + guest.delta))]


def _slot(guest: Guest, symbol: str, function: str) -> int:
    """Link address of the pointer in `symbol` that was compiled to lead to `function`."""
    golden = guest.profile.golden(FunctionPointersGolden)
    start = guest.profile.symbols.lookup(symbol)
    end = guest.profile.symbols.next_address(start)
    wanted = guest.profile.symbols.lookup(function) - golden.va
    for va, target in zip(golden.addresses(), golden.targets, strict=True):
        if start <= va < end and target == wanted:
            return va
    raise LookupError(f"{symbol} has no pointer to {function}")


def _swapped(guest: Guest) -> list[tuple[int, bytes]]:
    """proc's file system type: another function of the very same type in its place."""
    return _set(guest, _slot(guest, "proc_fs_type", "proc_kill_sb"), "kill_anon_super")


def _inside(guest: Guest) -> list[tuple[int, bytes]]:
    """One byte behind a function's entry."""
    slot = _slot(guest, "proc_fs_type", "proc_kill_sb")
    return [(slot, struct.pack("<Q", guest.profile.symbols.lookup("proc_kill_sb") + guest.delta + 1))]


def _emptied(guest: Guest) -> list[tuple[int, bytes]]:
    return [(_slot(guest, "proc_fs_type", "proc_kill_sb"), bytes(8))]


def _table(guest: Guest) -> list[tuple[int, bytes]]:
    """The operations of the /proc directory: another table of functions."""
    return _set(guest, _slot(guest, "proc_root", "proc_root_operations"), "proc_sys_dir_file_operations")


def _platform(guest: Guest) -> list[tuple[int, bytes]]:
    """A pointer that may change, but not to this."""
    return _set(guest, guest.profile.symbols.lookup("pcibios_enable_irq"), "acpi_pci_irq_disable")


def _cleared(guest: Guest) -> list[tuple[int, bytes]]:
    """A pointer that may change, but is never cleared."""
    return [(guest.profile.symbols.lookup("pcibios_enable_irq"), bytes(8))]


def _other_hypervisor(guest: Guest) -> list[tuple[int, bytes]]:
    """What the kernel itself writes there under another hypervisor."""
    return _set(guest, guest.profile.symbols.lookup("machine_ops") + 0x28, "xen_emergency_restart")


def _work(guest: Guest) -> list[tuple[int, bytes]]:
    """A pointer in data that no relocation names: the kernel sets it as it runs."""
    return [
        (guest.profile.symbols.lookup("panic_blink"), struct.pack("<Q", guest.profile.text_va + guest.delta))
    ]


CHANGES = [
    Change("function-pointers-swapped", "function-pointers", "another function of the same type", _swapped),
    Change("function-pointers-inside", "function-pointers", "one byte into the right function", _inside),
    Change("function-pointers-emptied", "function-pointers", "a function's pointer cleared", _emptied),
    Change("function-pointers-table", "function-pointers", "another table of operations", _table),
    Change("function-pointers-platform", "function-pointers", "a rewritten pointer leads astray", _platform),
    Change(
        "benign-function-pointer", None, "a value that the kernel's own code can write", _other_hypervisor
    ),
    Change("benign-run-time-pointer", None, "a pointer that nothing was compiled into", _work),
]
