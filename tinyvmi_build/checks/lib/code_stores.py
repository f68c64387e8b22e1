"""What the kernel's own code writes into its data: the package itself says what may come to stand there.

A kernel that adapts itself at boot writes `movq $function, pointer(%rip)`:
destination, value and the relocation of the value stand in the instruction.
The instruction is searched for at every byte of .text and .init.text; a chance
match would need a displacement that hits the pointer and a relocation in the
right place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: ModRM bytes of `reg, disp32(%rip)`.
_RIP = rb"[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]"
#: mov or xchg of a register; movq $imm32; andq $0.  A lookahead, so that matches may overlap.
_STORE = re.compile(
    rb"(?=([\x48\x4c][\x87\x89]" + _RIP + rb")|(\x48\xc7\x05)|(\x48\x83\x25)....\x00)", re.DOTALL
)
_LEA = re.compile(rb"(?=[\x48\x4c]\x8d" + _RIP + rb")", re.DOTALL)
_FIRST_ARGUMENT = re.compile(rb"\x48\xc7\xc7")  # mov $imm32, %rdi
_THIRD_ARGUMENT = b"\x48\xc7\xc2"  # mov $imm32, %rdx
_BESIDE = (-14, -7, 7, 14)  # of the three arguments' loads, 7 bytes each, in any order
CODE = (".text", ".init.text")


@dataclass
class Written:
    """What is written into one pointer: link addresses (0: NULL), and whether a register is, too."""

    values: set[int] = field(default_factory=set)
    register: bool = False


def stores(
    image: KernelImage, slots: Collection[int], is_target: Callable[[int], bool]
) -> dict[int, Written]:
    """Pointer's link address → what code writes there, for those of `slots` that code writes to by name."""
    relocated = set(image.relocs32)
    found: dict[int, Written] = {}
    for start, code, match in _matches(image, _STORE):
        at = match.start()
        size = 7 if match[1] else 11 if match[2] else 8
        if at + size > len(code):
            continue
        slot = start + at + size + struct.unpack_from("<i", code, at + 3)[0]
        if slot not in slots:
            continue
        written = found.setdefault(slot, Written())
        if match[1]:
            written.register = True
        elif match[3]:
            written.values.add(0)
        else:
            value = _immediate(code, at + 7)
            if value == 0:
                written.values.add(0)
            elif start + at + 7 in relocated and is_target(value):
                written.values.add(value)
            else:
                written.register = True  # a number: not a value that this generator can explain
    return found


def static_call_updates(
    image: KernelImage, keys: Collection[int], is_function: Callable[[int], bool]
) -> dict[int, Written]:
    """Key's link address → the functions in calls of __static_call_update(key, trampoline, function)."""
    relocated = set(image.relocs32)
    found: dict[int, Written] = {}
    for start, code, match in _matches(image, _FIRST_ARGUMENT):
        at = match.start()
        if at + 7 > len(code) or start + at + 3 not in relocated:
            continue
        key = _immediate(code, at + 3)
        if key not in keys:
            continue
        written = found.setdefault(key, Written())
        values = set()
        for where in (at + distance for distance in _BESIDE):
            if code[max(where, 0) : where + 3] != _THIRD_ARGUMENT or where + 7 > len(code):
                continue
            value = _immediate(code, where + 3)
            if start + where + 3 in relocated and is_function(value):
                values.add(value)
        written.values |= values
        written.register |= not values
    return found


def _matches(image: KernelImage, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, bytes, re.Match[bytes]]]:
    """(link address of a section of code, its bytes, match) of each match of `pattern` in it."""
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        for match in pattern.finditer(code):
            yield section.addr, code, match


#: Opcode that writes to memory → (bytes written, 0: by prefixes; the immediate's bytes; values of ModRM.reg).
_ALL = range(8)
_STORES: dict[int, tuple[int, int, Collection[int]]] = {
    **{opcode: (1 - opcode % 2, 0, _ALL) for base in range(0, 0x38, 8) for opcode in (base, base + 1)},
    **{opcode: (1 - opcode % 2, 0, _ALL) for opcode in (0x86, 0x87, 0x88, 0x89)},
    **{0x80: (1, 1, range(7)), 0x81: (0, 4, range(7)), 0x83: (0, 1, range(7))},
    **{0xC6: (1, 1, [0]), 0xC7: (0, 4, [0]), 0xC0: (1, 1, _ALL), 0xC1: (0, 1, _ALL)},
    **{opcode: (1 - opcode % 2, 0, _ALL) for opcode in (0xD0, 0xD1, 0xD2, 0xD3)},
    **{0xF6: (1, 0, [2, 3]), 0xF7: (0, 0, [2, 3]), 0xFE: (1, 0, [0, 1]), 0xFF: (0, 0, [0, 1])},
}
_STORES_0F: dict[int, tuple[int, int, Collection[int]]] = {
    **{opcode: (16, 0, _ALL) for opcode in (0x11, 0x29, 0x7F, 0xD6)},
    **{opcode: (1, 0, _ALL) for opcode in range(0x90, 0xA0)},
    **{opcode: (8, 0, _ALL) for opcode in (0xAB, 0xB3, 0xBB)},
    **{opcode: (1 - opcode % 2, 0, _ALL) for opcode in (0xB0, 0xB1, 0xC0, 0xC1)},
    **{0xBA: (8, 1, [5, 6, 7]), 0xAE: (512, 0, _ALL), 0xC7: (8, 0, _ALL)},
}
_CONSTANTS = (0xC6, 0xC7)


@dataclass
class Word:
    """What is written at one address: bytes, and the constants among it: (number, is a link address)."""

    size: int
    values: set[tuple[int, bool]] = field(default_factory=set)
    any_value: bool = False


def written_words(image: KernelImage, start: int, end: int) -> dict[int, Word]:
    """Link address → what code writes there by name, for addresses in start <= address < end.

    A store is searched for at every byte, so a few may be chance; they only make a value be trusted less.
    """
    relocated = set(image.relocs32)
    found: dict[int, Word] = {}
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        # The displacement's last byte rules out most of what is no store.
        nearest, farthest = start - (section.addr + section.size) - 8, end - section.addr
        high = {number & 0xFF for number in range(nearest >> 24, (farthest >> 24) + 1)}
        modrm = re.compile(b"(?=" + _RIP + b"..." + _class(high) + b")", re.DOTALL)
        for match in modrm.finditer(code, 3):
            store = _store(code, match.start())
            if store is None:
                continue
            size, immediate, constant = store
            at = match.start() + 1  # of the displacement
            if at + 4 + immediate > len(code):
                continue
            target = section.addr + at + 4 + immediate + struct.unpack_from("<i", code, at)[0]
            if not start <= target < end:
                continue
            word = found.setdefault(target, Word(size))
            if constant and size == word.size:
                value = int.from_bytes(code[at + 4 : at + 4 + immediate], "little", signed=True)
                word.values.add((value & (1 << 8 * size) - 1, section.addr + at + 4 in relocated))
            else:
                word.size = max(word.size, size)
                word.any_value = True
    return found


def _class(values: set[int]) -> bytes:
    """A character class of bytes."""
    return b"[" + b"".join(re.escape(bytes([value])) for value in sorted(values)) + b"]"


def _store(code: bytes, modrm: int) -> tuple[int, int, bool] | None:
    """(bytes written, bytes of the immediate, whether that is what is written), or None if it is no store."""
    opcode = code[modrm - 1]
    register = code[modrm] >> 3 & 7
    two = code[modrm - 2] == 0x0F
    form = _STORES_0F.get(opcode) if two else None
    if form is None:
        form, two = _STORES.get(opcode), False
    if form is None or register not in form[2]:
        return None
    size, immediate, _ = form
    before = modrm - (3 if two else 2)
    rex = code[before] if 0x40 <= code[before] <= 0x4F else 0
    wide = code[before - 1 if rex else before] == 0x66
    if not size:
        size = 8 if rex & 8 else 2 if wide else 4
        immediate = 2 if immediate == 4 and size == 2 else immediate
    return size, immediate, opcode in _CONSTANTS and not two


def taken(image: KernelImage, start: int, end: int) -> set[int]:
    """Addresses in start <= address < end that code takes, or indexes from."""
    found = {va for va32 in image.relocs32 if start <= (va := image.u32(va32) | 0xFFFFFFFF00000000) < end}
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        for match in _LEA.finditer(code):
            at = match.start()
            if at + 7 <= len(code):
                va = section.addr + at + 7 + struct.unpack_from("<i", code, at + 3)[0]
                if start <= va < end:
                    found.add(va)
    return found


def _immediate(code: bytes, at: int) -> int:
    """A sign-extended 32-bit immediate as an address."""
    return int(struct.unpack_from("<i", code, at)[0]) & (1 << 64) - 1
