"""Changes for the `syscall-table` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.checks.tamper import Change, Guest

GETDENTS64 = 217  # the call that a rootkit hides files with


def _redirect(guest: Guest, table: str, number: int, function: str) -> list[tuple[int, bytes]]:
    symbols = guest.profile.symbols
    pointer = symbols.lookup(function) + guest.delta
    return [(symbols.lookup(table) + 8 * number, struct.pack("<Q", pointer))]


def _getdents64(guest: Guest) -> list[tuple[int, bytes]]:
    return _redirect(guest, "sys_call_table", GETDENTS64, "__x64_sys_getdents")


def _last(guest: Guest) -> list[tuple[int, bytes]]:
    last = guest.profile.golden(SyscallTableGolden).tables[-1]
    return _redirect(guest, last.symbol, len(last.expected) - 1, "__x64_sys_getpid")


def _loglevel(guest: Guest) -> list[tuple[int, bytes]]:
    return [(guest.profile.symbols.lookup("console_printk"), struct.pack("<I", 8))]


CHANGES = [
    Change(
        "syscall-table-getdents64",
        "syscall-table",
        "getdents64 dispatched to another real system call",
        _getdents64,
        demonstrates=True,
    ),
    Change("syscall-table-last", "syscall-table", "the last pointer of the last table", _last),
    Change("benign-loglevel", None, "the console log level (console_printk)", _loglevel),
]
