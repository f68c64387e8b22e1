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


def _immediate(code: bytes, at: int) -> int:
    """A sign-extended 32-bit immediate as an address."""
    return int(struct.unpack_from("<i", code, at)[0]) & (1 << 64) - 1
