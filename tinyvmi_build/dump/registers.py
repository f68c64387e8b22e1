"""Registers that QEMU saves with memory: one note a processor, owner "QEMU" (target/i386/arch_dump.c).

QEMUCPUState, version 1: u32 version, u32 size; u64 rax … r15, rip, rflags; ten segments (cs, ds,
es, fs, gs, ss, ldt, tr, gdt, idt) of u32 selector, limit, flags, padding and u64 base; u64 cr0 … cr4.
The system-call MSRs and the debug registers are not in it.
"""

from __future__ import annotations

import mmap
import struct

_NOTE = struct.Struct("<III")
_OWNER = b"QEMU\0"
_SEGMENT = struct.Struct("<IIIIQ")
_RIP = 8 + 16 * 8
_SEGMENTS = _RIP + 16
_CS, _IDT = 0, 9
_CONTROL = _SEGMENTS + 10 * _SEGMENT.size
_SIZE = _CONTROL + 5 * 8
_MAX_VCPUS = 512  # as TV_VCPUS_MAX of the core


def qemu_registers(data: mmap.mmap, start: int, size: int) -> str:
    """The lines for `tinyvmi-check --registers`, of the notes at byte `start`; "" if there are none."""
    lines: list[str] = []
    number, at, end = 0, start, min(start + size, len(data))
    while at + _NOTE.size <= end and number < _MAX_VCPUS:
        owner_size, size_of, _ = _NOTE.unpack_from(data, at)
        owner = at + _NOTE.size
        body = owner + (owner_size + 3) // 4 * 4
        following = body + (size_of + 3) // 4 * 4
        if following > end:
            break
        if data[owner : owner + owner_size] == _OWNER and size_of >= _SIZE:
            lines += [f"{number} {name} {value:x}\n" for name, value in _values(data, body)]
            number += 1
        at = following
    return "".join(lines)


def _values(data: mmap.mmap, at: int) -> list[tuple[str, int]]:
    def segment(index: int) -> tuple[int, int, int]:
        selector, limit, _, _, base = _SEGMENT.unpack_from(data, at + _SEGMENTS + index * _SEGMENT.size)
        return selector, limit, base

    (rip,) = struct.unpack_from("<Q", data, at + _RIP)
    cr0, _, _, cr3, cr4 = struct.unpack_from("<5Q", data, at + _CONTROL)
    _, limit, base = segment(_IDT)
    named = {"rip": rip, "cpl": segment(_CS)[0] & 3, "cr0": cr0, "cr3": cr3, "cr4": cr4}
    return [*named.items(), ("idt.base", base), ("idt.limit", limit)]
