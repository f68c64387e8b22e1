"""The kernel's own patchers, run on a copy of its bytes.

Each function follows the one of arch/x86/kernel/alternative.c (or the file
named beside it) that it is called after.  What depends on the running kernel
is asked of `PatchingState`; all addresses are link addresses, because what is
patched in is relative.
"""

from __future__ import annotations

import struct

from tinyvmi_build.checks.lib.insn import Insn, decode
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.facts import Facts, Memory, PatchingState
from tinyvmi_build.checks.text.series import CALL_DEPTH, K8_NOPS, NOPS, RETHUNK, RETPOLINE, RETPOLINE_LFENCE
from tinyvmi_build.checks.text.sites import Alternative, Sites

CALL, JMP32, JMP8, RET, INT3 = 0xE8, 0xE9, 0xEB, 0xC3, 0xCC
_THUNK_SIZE = 32  # RETPOLINE_THUNK_SIZE


def branch(opcode: int, at: int, target: int) -> bytes:
    """A jmp or call of five bytes (__text_gen_insn, asm/text-patching.h)."""
    return bytes([opcode]) + struct.pack("<I", target - (at + 5) & 0xFFFFFFFF)


class Patcher:
    """Runs the boot-time patchers over `memory`, in the order of the series."""

    def __init__(self, facts: Facts, memory: Memory, state: PatchingState):
        self.facts = facts
        self.series = facts.series
        self.memory = memory
        self.state = state
        self.nops = K8_NOPS if state.k8_nops else NOPS

    def has(self, feature: int) -> bool:
        return feature in self.state.features

    def run(self, sites: Sites) -> None:
        """alternative_instructions()"""
        if self.series.paravirt == "first":
            self.apply_paravirt(sites)
        for va in sites.retpolines:
            self.patch_retpoline(va)
        for va in sites.returns:
            self.patch_return(va)
        if self.series.call_thunks == "before":
            self.patch_calls(sites.calls)
        if self.series.one_choice:
            self.apply_one_choice(sites.alternatives)
        elif self.series.relocates:
            self.apply_relocated(sites.alternatives)
        else:
            self.apply_alternatives(sites.alternatives)
        if self.series.call_thunks == "after":
            self.patch_calls([*sites.calls, *(alt.instr for alt in sites.alternatives)])
        for va in sites.endbrs:
            self.memory.write(va, self.series.endbr_poison)
        if self.state.uniprocessor:
            for va in sites.locks:
                if self.facts.text <= va < self.facts.etext and self.memory.read(va, 1) == b"\xf0":
                    self.memory.write(va, b"\x3e")
        if self.series.paravirt == "last":
            self.apply_paravirt(sites)

    # Padding

    def add_nops(self, size: int) -> bytes:
        """add_nops() before 6.9, of as many instructions as needed; add_nop() since, of one."""
        if not self.series.relocates:
            out = b""
            while size:
                part = min(size, self.series.nop_max)
                out += self.nops[part]
                size -= part
            return out
        if size <= self.series.nop_max:
            return self.nops[size]
        jump = bytes([JMP8, size - 2]) if size < 128 else bytes([JMP32]) + struct.pack("<i", size - 5)
        return jump + bytes([INT3]) * (size - len(jump))

    def optimize_nops(self, code: bytearray, limit: int | None = None) -> None:
        limit = len(code) if limit is None else limit
        at = 0
        while at < limit:
            insn = decode(code, at)
            if insn is None:
                return
            following = at + insn.length
            if self.series.relocates:
                if insn.is_nop:
                    if following == limit:
                        return
                    following = self._skip_nops(code, following, limit)
                    code[at:following] = self.add_nops(following - at)
            elif insn.length == 1 and code[at] == 0x90:
                while following < limit and code[following] == 0x90:
                    following += 1
                code[at:following] = self.add_nops(following - at)
            at = following

    @staticmethod
    def _skip_nops(code: bytearray, at: int, limit: int) -> int:
        while at < limit:
            insn = decode(code, at)
            if insn is None or not insn.is_nop:
                break
            at += insn.length
        return at

    # Paravirt sites (before 6.9)

    def apply_paravirt(self, sites: Sites) -> None:
        for va, slot, size in sites.paravirt:
            code = self.paravirt_patch(slot, va)
            self.memory.write(va, code + self.add_nops(size - len(code)))

    def paravirt_patch(self, slot: int, va: int) -> bytes:
        """paravirt_patch() of 6.1; native_patch() and paravirt_patch_default() of 5.10."""
        facts = self.facts
        function = self.state.pv[self.facts.pv_ops + 8 * slot]
        if slot in facts.native and not self.state.default_paravirt:
            code, needs = facts.native[slot]
            if needs in (None, function):
                return code
        if function == 0:
            return branch(CALL, va, facts.pv_bug) if facts.pv_bug else b"\x0f\x0b"
        if function == facts.pv_nop:
            return b""
        if facts.series.native_patch and function == facts.pv_ident:
            return bytes.fromhex("4889f8")
        return branch(JMP32 if slot == facts.pv_iret else CALL, va, function)

    # Retpolines and returns

    def patch_retpoline(self, va: int) -> None:
        insn = self.memory.insn(va)
        if insn is None:
            raise UnsupportedError(f"no instruction at the retpoline site {va:#x}")
        size = insn.length
        code = self.memory.read(va, size)
        target = va + size + int.from_bytes(code[insn.imm_at : insn.imm_at + 4], "little", signed=True)
        register, rest = divmod(target - self.facts.thunks, _THUNK_SIZE)
        if insn.imm_size != 4 or rest or not 0 <= register < 16:
            raise UnsupportedError(f"the retpoline site {va:#x} does not lead to a thunk")
        new = self.retpoline(va, code, insn, register)
        if new is not None and len(new) == size:
            out = bytearray(new)
            self.optimize_nops(out)
            self.memory.write(va, out)

    def retpoline(self, va: int, code: bytes, insn: Insn, register: int) -> bytes | None:
        """patch_retpoline()"""
        size, opcode = insn.length, insn.opcode[0]
        if self.has(RETPOLINE) and not self.has(RETPOLINE_LFENCE):
            if self.has(CALL_DEPTH) and self.series.call_thunks:
                what = "call" if opcode == CALL else "jump"
                thunks = require(self.facts.image, f"__x86_indirect_{what}_thunk_array")
                return self._redirected(va, code, insn, thunks + _THUNK_SIZE * register)
            return None
        out = bytearray()
        if opcode == 0x0F:
            out += bytes([0x70 + (insn.opcode[1] & 15 ^ 1), size - 2])
            opcode = JMP32
        if self.has(RETPOLINE_LFENCE):
            out += b"\x0f\xae\xe8"
        if self.has(self.series.its) and not (va + len(out) + 1 + register // 8) & 0x20:
            return self._redirected(va, code, insn, self.state.its_thunks[register])
        out += self._indirect(opcode, register, size - len(out))
        if opcode == JMP32 and self.series.int3_after_jump and len(out) < size:
            out.append(INT3)
        return bytes(out) + b"\x90" * (size - len(out))

    def _indirect(self, opcode: int, register: int, room: int) -> bytes:
        """emit_indirect(): call or jmp *%register"""
        code = (b"\x41" if register >= 8 else b"") + bytes(
            [0xFF, (0xD0 if opcode == CALL else 0xE0) + (register & 7)]
        )
        excess = room - len(code)
        if self.series.pads_jumps and excess > 0:
            if opcode == JMP32:
                return code + bytes([INT3]) * excess
            if excess <= 3:
                return b"\x2e" * excess + code
        return code

    @staticmethod
    def _redirected(va: int, code: bytes, insn: Insn, target: int) -> bytes:
        """__emit_trampoline(): the same instruction with another target."""
        return code[: insn.imm_at] + struct.pack("<I", target - (va + insn.length) & 0xFFFFFFFF)

    def wants_rethunk_at(self, va: int) -> bool:
        """cpu_wants_rethunk_at()"""
        return self.has(RETHUNK) and not (self.state.its_return and va & 0x20)

    def patch_return(self, va: int) -> None:
        """patch_return(), and __static_call_fixup() of static_call.c, which comes to the same."""
        if self.memory.read(va, 1)[0] != JMP32:
            raise UnsupportedError(f"the return site {va:#x} is no jmp")
        self.memory.write(va, self.ret(va))

    def ret(self, va: int) -> bytes:
        if self.wants_rethunk_at(va):
            return branch(JMP32, va, self.state.return_thunk)
        return bytes([RET, INT3, INT3, INT3, INT3])

    # Alternatives

    def chosen(self, alt: Alternative) -> bool:
        return self.has(alt.feature) != alt.inverted

    def apply_alternatives(self, alternatives: list[Alternative]) -> None:
        """apply_alternatives() of 5.10 and 6.1"""
        for alt in alternatives:
            if self.chosen(alt):
                code = bytearray(self.memory.read(alt.repl, alt.repl_size))
                if alt.repl_size == 5 and code[0] == CALL:
                    displacement = int.from_bytes(code[1:5], "little") + alt.repl - alt.instr
                    code[1:5] = struct.pack("<I", displacement & 0xFFFFFFFF)
                if alt.repl_size == 5 and code[0] in (JMP32, JMP8):
                    code = self._recompute_jump(alt, code)
                code += b"\x90" * (alt.size - len(code))
                self.memory.write(alt.instr, code)
            # Decoding may read behind the site, as the kernel's does.
            around = bytearray(self.memory.read(alt.instr, alt.size + 16))
            self.optimize_nops(around, alt.size)
            self.memory.write(alt.instr, around[: alt.size])

    def _recompute_jump(self, alt: Alternative, code: bytearray) -> bytearray:
        """recompute_jump()"""
        target = alt.repl + 5 + int.from_bytes(code[1:5], "little", signed=True)
        distance = target - alt.instr
        if (distance >= 0 and distance - 2 <= 127) or (distance < 0 and distance - 2 & 0xFF == distance - 2):
            return bytearray([JMP8, distance - 2 & 0xFF]) + self.add_nops(3)
        return bytearray(branch(JMP32, alt.instr, target))

    def apply_relocated(self, alternatives: list[Alternative]) -> None:
        """apply_alternatives() of 6.12; entries of one site follow one another."""
        for first, last in runs(alternatives):
            size = max(alt.size for alt in alternatives[first:last])
            for alt in alternatives[first:last]:
                if self.chosen(alt):
                    code = self._replacement(alt, size)
                else:
                    code = bytearray(self.memory.read(alt.instr, size))
                self.optimize_nops(code)
                self.memory.write(alt.instr, code)

    def apply_one_choice(self, alternatives: list[Alternative]) -> None:
        """apply_alternatives() of 7.2"""
        for first, last in runs(alternatives):
            entries = alternatives[first:last]
            size = max(alt.size for alt in entries)
            chosen = [alt for alt in entries if self.chosen(alt)]
            code = bytearray(self.memory.read(entries[0].instr, size))
            if chosen:
                code = self._replacement(chosen[-1], size)
            self.optimize_nops(code)
            self.memory.write(entries[0].instr, code)

    def _replacement(self, alt: Alternative, size: int) -> bytearray:
        code = bytearray(self.memory.read(alt.repl, alt.repl_size))
        if alt.direct_call:
            code = self._direct_call(alt, code)
        code += b"\x90" * (size - len(code))
        self._apply_relocation(code, alt)
        return code

    def _direct_call(self, alt: Alternative, code: bytearray) -> bytearray:
        """alt_replace_call(): a call of what pv_ops points to"""
        old = self.memory.read(alt.instr, 6)
        if len(code) != 5 or code[0] != CALL or old[:2] != b"\xff\x15":
            raise UnsupportedError(f"the paravirt call at {alt.instr:#x} has an unknown form")
        pointer = alt.instr + 6 + int.from_bytes(old[2:], "little", signed=True)
        target = self.state.pv[pointer] or self.facts.pv_bug
        if target == self.facts.pv_nop:
            return bytearray()
        # The file has a call of BUG_func; where a module's is counted already, so is what comes of it.
        displacement = int.from_bytes(code[1:5], "little") + target - self.facts.pv_bug
        return bytearray([CALL]) + struct.pack("<I", displacement & 0xFFFFFFFF)

    def _apply_relocation(self, code: bytearray, alt: Alternative) -> None:
        """__apply_relocation()"""
        moved = alt.repl - alt.instr
        at = 0
        while at < len(code):
            insn = decode(code, at)
            if insn is None:
                return
            following = at + insn.length
            fields = []
            if insn.branches:
                fields.append((insn.imm_at, insn.imm_size))
            if insn.rip_relative:
                fields.append((insn.disp_at, insn.disp_size))
            for offset, size in fields:
                where = slice(at + offset, at + offset + size)
                value = int.from_bytes(code[where], "little", signed=True)
                if not 0 <= following + value <= alt.repl_size:
                    code[where] = (value + moved & (1 << 8 * size) - 1).to_bytes(size, "little")
                near = value + moved + 3
                if insn.opcode[0] == JMP32 and -128 <= near <= 127:
                    code[at : at + 5] = bytes([JMP8, near & 0xFF, INT3, INT3, INT3])
            at = following

    # Call depth (callthunks.c)

    def patch_calls(self, calls: list[int]) -> None:
        if not self.has(CALL_DEPTH):
            return
        for va in calls:
            if not self.facts.text <= va < self.facts.etext:
                continue
            code = self.memory.read(va, 5)
            insn = self.memory.insn(va)
            if insn is None or insn.opcode[0] != CALL:
                continue
            target = va + insn.length + int.from_bytes(code[1:5], "little", signed=True)
            if self.facts.in_module:
                counted = self.facts.accounts(target)
            elif target in self.facts.skipped_calls or not self.facts.text <= target < self.facts.etext:
                counted = False
            else:
                counted = self.patch_pad(target)
            if counted:
                self.memory.write(va, branch(CALL, va, target - self.facts.call_thunk[1]))

    def patch_pad(self, target: int) -> bool:
        """patch_dest(): whether the accounting stands in front of `target` now"""
        template, size = self.facts.call_thunk
        pad = bytearray(self.memory.read(template, size))
        self._apply_relocation(pad, Alternative(target - size, template, 0, False, False, size, size))
        old = self.memory.read(target - size, size)
        if old != pad and old != b"\x90" * size:
            return False
        self.memory.write(target - size, pad)
        return True


def runs(alternatives: list[Alternative]) -> list[tuple[int, int]]:
    """Bounds of the runs of entries for one site."""
    bounds = []
    first = 0
    for i in range(1, len(alternatives) + 1):
        if i == len(alternatives) or alternatives[i].instr != alternatives[first].instr:
            bounds.append((first, i))
            first = i
    return bounds
