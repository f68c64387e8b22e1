"""Registers that QEMU saves with memory: one note a processor, owner "QEMU" (target/i386/arch_dump.c).

QEMUCPUState, version 1: u32 version, u32 size; u64 rax … r15, rip, rflags; ten segments (cs, ds,
es, fs, gs, ss, ldt, tr, gdt, idt) of u32 selector, limit, flags, padding and u64 base; u64 cr0 … cr4.
The system-call MSRs and the debug registers are not in it.
"""

from __future__ import annotations

import contextlib
import mmap
import struct

from tinyvmi_build.elf.notes import parse_notes
from tinyvmi_build.elf.reader import ElfError

_SEGMENT = struct.Struct("<IIIIQ")
_RIP = 8 + 16 * 8
_SEGMENTS = _RIP + 16
_CS, _IDT = 0, 9
_CONTROL = _SEGMENTS + 10 * _SEGMENT.size
_SIZE = _CONTROL + 5 * 8
_MAX_NOTES = 1 << 24  # bytes
_MAX_VCPUS = 512  # as TV_VCPUS_MAX of the core


def qemu_registers(data: mmap.mmap, start: int, size: int) -> str:
    """The lines for `tinyvmi-check --registers`, of the notes at byte `start`; "" if there are none."""
    lines: list[str] = []
    number = 0
    with contextlib.suppress(ElfError):  # of a note that is cut short; those before it are whole
        for note in parse_notes(data[start : start + min(size, _MAX_NOTES)]):
            if number < _MAX_VCPUS and note.owner == "QEMU" and len(note.desc) >= _SIZE:
                lines += [f"{number} {name} {value:x}\n" for name, value in _values(note.desc)]
                number += 1
    return "".join(lines)


def _values(desc: bytes) -> list[tuple[str, int]]:
    def segment(index: int) -> tuple[int, int, int]:
        selector, limit, _, _, base = _SEGMENT.unpack_from(desc, _SEGMENTS + index * _SEGMENT.size)
        return selector, limit, base

    (rip,) = struct.unpack_from("<Q", desc, _RIP)
    cr0, _, _, cr3, cr4 = struct.unpack_from("<5Q", desc, _CONTROL)
    _, limit, base = segment(_IDT)
    named = {"rip": rip, "cpl": segment(_CS)[0] & 3, "cr0": cr0, "cr3": cr3, "cr4": cr4}
    return [*named.items(), ("idt.base", base), ("idt.limit", limit)]
