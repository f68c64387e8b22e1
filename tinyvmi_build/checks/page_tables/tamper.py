"""Changes for the `page-tables` check."""

from __future__ import annotations

import struct

from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.checks.tamper import Change, Guest


def _init_mm(guest: Guest) -> list[tuple[int, bytes]]:
    """The kernel's own address space gets another page as its root: one whose kernel half is empty."""
    golden = guest.profile.golden(PageTablesGolden)
    zeros = guest.profile.symbols.lookup("empty_zero_page")
    return [(golden.init_mm + golden.pgd, struct.pack("<Q", zeros + guest.delta))]


def _first_task(guest: Guest) -> list[tuple[int, bytes]]:
    """The first process (behind init_task in the list) gets that page as its root."""
    golden = guest.profile.golden(PageTablesGolden)

    def pointer(running: int) -> int:
        return int.from_bytes(guest.read(running - guest.delta, 8), "little")

    first = pointer(golden.init_task + golden.tasks + guest.delta) - golden.tasks
    zeros = guest.profile.symbols.lookup("empty_zero_page")
    root = pointer(first + golden.mm) + golden.pgd
    return [(root - guest.delta, struct.pack("<Q", zeros + guest.delta))]


def _name(guest: Guest) -> list[tuple[int, bytes]]:
    golden = guest.profile.golden(PageTablesGolden)
    return [(golden.init_task + golden.comm, b"swapped/0\0")]


CHANGES = [
    Change("page-tables-root", "page-tables", "another root for the kernel's own address space", _init_mm),
    Change("benign-task-name", None, "a task's name", _name),
]

#: Not of the list: what is found is an entry of that root, not the pointer that was changed.
TASK = Change("page-tables-task", "page-tables", "another root for a process", _first_task)
