"""Lengths and fields of x86-64 instructions: what the kernel's own patcher needs.

Source: Intel SDM volume 2, chapter 2 and appendix A; the kernel's decoder is
arch/x86/lib/insn.c.  Only the layout is decoded, no operand is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_LEGACY = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))
_MAX = 15


@dataclass(frozen=True)
class Insn:
    """One instruction; offsets count from its first byte, sizes are in bytes."""

    length: int
    opcode: bytes  # one to three bytes, without prefixes
    prefixes: bytes  # legacy ones
    imm_at: int
    imm_size: int
    disp_at: int
    disp_size: int
    rip_relative: bool

    @property
    def is_nop(self) -> bool:
        """NOP and NOPL, as insn_is_nop() of arch/x86/kernel/alternative.c sees them."""
        if self.opcode[0] == 0x90:
            return not self.prefixes or self.prefixes[0] != 0xF3
        return self.opcode[:2] == b"\x0f\x1f"

    @property
    def branches(self) -> bool:
        """A direct jump or call, whose immediate is its displacement."""
        first = self.opcode[0]
        if first == 0x0F:
            return 0x80 <= self.opcode[1] <= 0x8F
        return 0x70 <= first <= 0x7F or first in (0xE8, 0xE9, 0xEB)


def _ranges(*parts: int | tuple[int, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in parts:
        found |= {part} if isinstance(part, int) else set(range(part[0], part[1] + 1))
    return frozenset(found)


# One-byte map (appendix A, table A-2).  "z" immediates are 2 bytes with an operand-size prefix, else 4.
_ALU = [base + i for base in range(0, 0x40, 8) for i in range(4)]
_MODRM1 = _ranges(
    *_ALU, 0x63, 0x69, 0x6B, (0x80, 0x81), (0x83, 0x8F), (0xC0, 0xC1), (0xC6, 0xC7), (0xD0, 0xD3),
    (0xD8, 0xDF), 0xF6, 0xF7, 0xFE, 0xFF,
)  # fmt: skip
_IMM8 = _ranges(
    *range(4, 0x40, 8), 0x6A, 0x6B, (0x70, 0x7F), 0x80, 0x83, 0xA8, (0xB0, 0xB7), 0xC0, 0xC1, 0xC6, 0xCD,
    (0xE0, 0xE7), 0xEB,
)  # fmt: skip
_IMMZ = _ranges(*range(5, 0x40, 8), 0x68, 0x69, 0x81, 0xA9, 0xC7)
_INVALID1 = _ranges(
    6, 7, 0x0E, 0x16, 0x17, 0x1E, 0x1F, 0x27, 0x2F, 0x37, 0x3F, 0x60, 0x61, 0x82, 0x9A, 0xCE, 0xD4, 0xD5,
    0xD6, 0xEA,
)  # fmt: skip
# Two-byte map (table A-3).
_NO_MODRM2 = _ranges(
    (0x05, 0x09), 0x0B, 0x0E, (0x30, 0x35), 0x37, 0x77, (0x80, 0x8F), (0xA0, 0xA2), (0xA8, 0xAA), (0xC8, 0xCF)
)
_INVALID2 = _ranges(4, 0x0A, 0x0C, (0x24, 0x27), 0x36, 0x39, (0x3B, 0x3F), 0xA6, 0xA7)
_IMM8_2 = _ranges(0x0F, (0x70, 0x73), 0xA4, 0xAC, 0xBA, 0xC2, (0xC4, 0xC6))


def decode(code: bytes | bytearray, at: int = 0) -> Insn | None:
    """The instruction at code[at:]; None if it is none that a kernel has, or is cut short."""
    return _decode_window(bytes(code[at : at + 16]))


@lru_cache(maxsize=1 << 16)
def _decode_window(code: bytes) -> Insn | None:
    try:
        return _decode(code, 0)
    except IndexError:
        return None


def _decode(code: bytes | bytearray, start: int) -> Insn | None:
    at = start
    while code[at] in _LEGACY:
        at += 1
        if at - start > _MAX:
            return None
    prefixes = bytes(code[start:at])
    rex = 0
    if code[at] & 0xF0 == 0x40:
        rex = code[at]
        at += 1
    first = code[at]
    if first in (0xC4, 0xC5, 0x62):
        return _vex(code, start, at, prefixes)
    at += 1
    if first == 0x0F:
        return _two_byte(code, start, at, prefixes)
    if first in _INVALID1:
        return None
    z = 2 if 0x66 in prefixes and not rex & 8 else 4
    imm = 1 if first in _IMM8 else z if first in _IMMZ else 0
    if 0xB8 <= first <= 0xBF:
        imm = 8 if rex & 8 else z
    elif first in (0xE8, 0xE9):
        imm = 4
    elif 0xA0 <= first <= 0xA3:
        imm = 4 if 0x67 in prefixes else 8
    elif first in (0xC2, 0xCA):
        imm = 2
    elif first == 0xC8:
        imm = 3
    elif first in (0xF6, 0xF7) and code[at] >> 3 & 6 == 0:
        imm = 1 if first == 0xF6 else z
    return _finish(code, start, at, _Form(bytes([first]), prefixes, first in _MODRM1, imm))


def _two_byte(code: bytes | bytearray, start: int, at: int, prefixes: bytes) -> Insn | None:
    second = code[at]
    at += 1
    opcode = bytes([0x0F, second])
    if second in (0x38, 0x3A):
        form = _Form(opcode + bytes([code[at]]), prefixes, True, int(second == 0x3A))
        return _finish(code, start, at + 1, form)
    if second in _INVALID2:
        return None
    imm = 4 if 0x80 <= second <= 0x8F else int(second in _IMM8_2)
    return _finish(code, start, at, _Form(opcode, prefixes, second not in _NO_MODRM2, imm))


def _vex(code: bytes | bytearray, start: int, at: int, prefixes: bytes) -> Insn | None:
    first = code[at]
    size, opmap = {0xC5: (2, 1), 0xC4: (3, code[at + 1] & 0x1F), 0x62: (4, code[at + 1] & 7)}[first]
    opcode = code[at + size]
    if opmap not in (1, 2, 3):
        return None
    imm = int(opmap == 3 or (opmap == 1 and opcode in _IMM8_2))
    # The opcode of the map, as if it were not VEX-encoded, would be confused with another's.
    name = bytes([first, opmap, opcode])
    form = _Form(name, prefixes, (opmap, opcode) != (1, 0x77), imm)
    return _finish(code, start, at + size + 1, form)


class _Form(NamedTuple):
    """What the opcode says of the rest of an instruction."""

    opcode: bytes
    prefixes: bytes
    has_modrm: bool
    imm: int


def _finish(code: bytes | bytearray, start: int, at: int, form: _Form) -> Insn | None:
    """The instruction that begins at `start`, from behind its opcode on."""
    opcode, prefixes, has_modrm, imm = form
    disp_at = disp = 0
    rip = False
    if has_modrm:
        modrm = code[at]
        mod, rm = modrm >> 6, modrm & 7
        at += 1
        control = opcode[0] == 0x0F and 0x20 <= opcode[1] <= 0x23  # of CR and DR: always registers
        if mod != 3 and not control:
            base = rm
            if rm == 4:
                base = code[at] & 7
                at += 1
            if mod == 1:
                disp = 1
            elif mod == 2 or (mod == 0 and base == 5):
                disp = 4
                rip = mod == 0 and rm == 5
        disp_at = at - start
        at += disp
    imm_at = at - start
    at += imm
    if at - start > _MAX or at > len(code):
        return None
    return Insn(at - start, opcode, prefixes, imm_at, imm, disp_at, disp, rip)
