"""What the kernel's own code writes into its static pointers: the package says which values may come to stand there.

A kernel that adapts itself at boot writes `movq $function, pointer(%rip)`:
destination, value and the relocation of the value stand in the instruction.
The instruction is looked for at every byte of .text and .init.text; a chance
match would need a displacement that hits the pointer and a relocation in the
right place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection
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


def stores(image: KernelImage, slots: Collection[int], is_target: Callable[[int], bool]) -> dict[int, Written]:
    """Pointer's link address → what code writes there, for those of `slots` that code writes to by name."""
    relocated = set(image.relocs32)
    found: dict[int, Written] = {}
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        for match in _STORE.finditer(code):
            at = match.start()
            size = 7 if match[1] else 11 if match[2] else 8
            if at + size > len(code):
                continue
            slot = section.addr + at + size + struct.unpack_from("<i", code, at + 3)[0]
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
                elif section.addr + at + 7 in relocated and is_target(value):
                    written.values.add(value)
                else:
                    written.register = True  # a number: not a value that this generator can explain
    return found


def static_call_updates(
    image: KernelImage, keys: Collection[int], is_function: Callable[[int], bool]
) -> dict[int, Written]:
    """Key's link address → functions that code gives to __static_call_update(key, trampoline, function) by name."""
    relocated = set(image.relocs32)
    found: dict[int, Written] = {}
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        for match in _FIRST_ARGUMENT.finditer(code):
            at = match.start()
            if at + 7 > len(code) or section.addr + at + 3 not in relocated:
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
                if section.addr + where + 3 in relocated and is_function(value):
                    values.add(value)
            written.values |= values
            written.register |= not values
    return found


#: Stores to `disp32(%rip)`, by the size of their immediate, which the displacement does not count.
#: Groups: 0x66 and REX prefixes, then one of the forms.
_ANY_STORE = re.compile(
    rb"(?=(?P<wide>\x66)?(?P<rex>[\x40-\x4f])?(?:"
    rb"(?P<reg>[\x00\x01\x08\x09\x10\x11\x18\x19\x20\x21\x28\x29\x30\x31\x86-\x89]" + _RIP + rb")"
    rb"|(?P<mov8>\xc6\x05)|(?P<mov>\xc7\x05)"
    rb"|(?P<alu8>[\x80\x83][\x05\x0d\x15\x1d\x25\x2d\x35])|(?P<alu>\x81[\x05\x0d\x15\x1d\x25\x2d\x35])"
    rb"|(?P<inc>[\xfe\xff][\x05\x0d])|(?P<not>[\xf6\xf7][\x15\x1d])"
    rb"|(?P<two>\x0f[\x11\x29\x7f\x90-\x9f\xab\xb0\xb1\xb3\xbb\xc0\xc1\xd6]" + _RIP + rb")"
    rb"|(?P<state>\x0f[\xae\xc7]" + _RIP + rb")"
    rb"|(?P<bit>\x0f\xba[\x2d\x35\x3d])|(?P<shift8>[\xc0\xc1][\x05\x0d\x25\x2d\x3d])"
    rb"|(?P<shift>[\xd0-\xd3][\x05\x0d\x25\x2d\x3d])))",
    re.DOTALL,
)
_IMMEDIATE = {"mov8": 1, "alu8": 1, "bit": 1, "shift8": 1, "mov": 4, "alu": 4}


@dataclass
class Word:
    """What is written at one address: bytes, and the values if all are constants (link addresses if `moves`)."""

    size: int
    values: set[tuple[int, bool]] = field(default_factory=set)
    any_value: bool = False


def written_words(image: KernelImage, start: int, end: int) -> dict[int, Word]:
    """Link address → what code writes there by name, for addresses in start <= address < end.

    A store is looked for at every byte, so a few may be chance; they only make a value be trusted less.
    """
    relocated = set(image.relocs32)
    found: dict[int, Word] = {}
    for name in CODE:
        section = image.section(name)
        code = image.elf.section_bytes(section)
        for match in _ANY_STORE.finditer(code):
            form = match.lastgroup or ""
            at = match.end(form)  # of the displacement
            immediate = _IMMEDIATE.get(form, 0)
            if form in ("mov", "alu") and match["wide"]:
                immediate = 2
            if at + 4 + immediate > len(code):
                continue
            target = section.addr + at + 4 + immediate + struct.unpack_from("<i", code, at)[0]
            if not start <= target < end:
                continue
            size = _width(match, form)
            word = found.setdefault(target, Word(size))
            if form in ("mov", "mov8") and size == word.size:
                value = int.from_bytes(code[at + 4 : at + 4 + immediate], "little", signed=True)
                word.values.add((value & (1 << 8 * size) - 1, section.addr + at + 4 in relocated))
            else:
                word.size = max(word.size, size)
                word.any_value = True
    return found


def _width(match: re.Match[bytes], form: str) -> int:
    """Bytes that a store of `form` writes; for a processor's state as many as it may."""
    code = match[form]
    if form == "state":
        return 512 if code[0:2] == b"\x0f\xae" else 8
    if form == "two":
        return 16 if code[1] in (0x11, 0x29, 0x7F) else 1 if 0x90 <= code[1] <= 0x9F else 8
    narrow = {"reg": code[0] % 2 == 0, "mov8": True, "alu8": code[0] == 0x80, "inc": code[0] == 0xFE}
    narrow |= {"not": code[0] == 0xF6, "shift8": code[0] == 0xC0, "shift": code[0] % 2 == 0}
    if narrow.get(form, False):
        return 1
    rex = match["rex"]
    return 8 if rex and rex[0] & 8 else 2 if match["wide"] else 4


def taken(image: KernelImage, start: int, end: int) -> set[int]:
    """Addresses in start <= address < end that code takes, or indexes from."""
    found = {va for place in image.relocs32 if start <= (va := image.u32(place) | 0xFFFFFFFF00000000) < end}
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
