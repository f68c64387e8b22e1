"""Alternatives as a table: for each site the encodings that the package allows, and what chooses one.

The patchers run over the site once for every combination of the conditions
that can matter there.  What comes out becomes a template whose relative
displacements are named by their target, so that sites of one form share
one shape.  Each template is proved on a second run with other addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.insn import decode
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.facts import Facts, Memory, PatchingState
from tinyvmi_build.checks.text.golden import (
    ADD32,
    ADD64,
    REL,
    REL_PV,
    REL_PV_COUNTED,
    REL_RETURN,
    SUB32,
    Template,
)
from tinyvmi_build.checks.text.patch import CALL, Patcher
from tinyvmi_build.checks.text.series import CALL_DEPTH, RETHUNK
from tinyvmi_build.checks.text.sites import Alternative, Sites
from tinyvmi_build.kernel.relocs import RelocKind

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.source import CodeImage

#: Conditions that are no capability of the processor (enum tv_text_condition).
ITS_RETURN = 0x400
K8 = 0x401
PV_NOP = 0x8000  # | index of a pointer of pv_ops
ALWAYS = 3 * 32 + 21  # X86_FEATURE_ALWAYS: set in every kernel
_MAX_CONDITIONS = 6

_DELTA = 0x15400000  # of the second run
_FIELDS = {RelocKind.R32: (4, ADD32), RelocKind.INVERSE32: (4, SUB32), RelocKind.R64: (8, ADD64)}


@dataclass(frozen=True)
class Shape:
    """`templates` are indexed by the conditions' values, the first condition in bit 0."""

    size: int
    conditions: tuple[int, ...]
    templates: tuple[Template, ...]


class _Scratch(Memory):
    """Memory that forgets what was written."""

    def __init__(self, base: int, data: bytes | bytearray):
        super().__init__(base, data)
        self.log: list[tuple[int, bytes]] = []

    def write(self, va: int, data: bytes | bytearray) -> None:
        self.log.append((va, self.read(va, len(data))))
        super().write(va, data)

    def forget(self) -> None:
        for va, data in reversed(self.log):
            super().write(va, data)
        self.log.clear()


class ShapeMaker:
    """Makes the shape of a site from the alternatives and other sites in it."""

    def __init__(self, image: CodeImage, facts: Facts, sites: Sites, pointers: list[int]):
        self.facts = facts
        self.image = image
        self.pointers = {va: i for i, va in enumerate(pointers)}
        end = max([facts.etext, *(a.repl + a.repl_size for a in sites.alternatives)]) + 16
        self.plain = _Scratch.of(image, facts.text, end)
        self.moved = _Scratch.of(image, facts.text, end)
        assert isinstance(self.plain, _Scratch) and isinstance(self.moved, _Scratch)
        replacements = min((a.repl for a in sites.alternatives), default=end)
        relocate(self.moved, image, facts.text, facts.etext, _DELTA)
        if replacements >= facts.etext:
            relocate(self.moved, image, replacements, end, _DELTA)
        if facts.series.call_thunks:
            template, size = facts.call_thunk
            relocate(self.moved, image, template, template + size + 8, _DELTA)
        self.plain.log.clear()
        self.moved.log.clear()
        self.used: dict[int, int] = {}  # the pointers that the present site may call through
        self.fakes = facts.base + 0x30000000, facts.base + 0x38001000
        self.proof_targets = [self.fakes[1] + 0x1000 * (i + 1) - facts.base for i in range(len(pointers))]

    def shape(self, start: int, end: int, inside: Sites) -> Shape:
        """The shape of start <= address < end; `inside` are the sites in it and in its replacements."""
        conditions = self._conditions(inside)
        if len(conditions) > _MAX_CONDITIONS:
            raise UnsupportedError(
                f"{len(conditions)} conditions decide about the alternatives at {start:#x}"
            )
        templates = [
            self._template(start, end, inside, frozenset(c for i, c in enumerate(conditions) if n >> i & 1))
            for n in range(1 << len(conditions))
        ]
        return _pruned(end - start, conditions, templates)

    def _conditions(self, inside: Sites) -> list[int]:
        """Numbers of the conditions, those of pointers last."""
        found = {alt.feature for alt in inside.alternatives} - {ALWAYS}
        if inside.returns:
            found |= {RETHUNK, ITS_RETURN}
        if self.facts.series.call_thunks and self._calls(inside):
            found.add(CALL_DEPTH)
        if self.facts.series.k8_nops:
            found.add(K8)
        pointers = {self.facts.pv_ops + 8 * slot for _, slot, _ in inside.paravirt}
        for alt in inside.alternatives:
            if alt.direct_call:
                old = self.plain.read(alt.instr + 2, 4)
                pointers.add(alt.instr + 6 + int.from_bytes(old, "little", signed=True))
        self.used = {va: self.pointers[va] for va in pointers}
        return sorted(found) + [PV_NOP | i for i in sorted(self.used.values())]

    def _calls(self, inside: Sites) -> bool:
        if inside.calls:
            return True
        first = [alt.instr for alt in inside.alternatives] + [
            alt.repl for alt in inside.alternatives if alt.repl_size
        ]
        return any(self.plain.read(va, 1)[0] == CALL for va in first)

    def _run(
        self, memory: Memory, start: int, end: int, inside: Sites, true: frozenset[int], fake: int
    ) -> bytes:
        """The site's bytes under `true` conditions, with invented targets from `fake` on."""
        pv = {
            va: self.facts.pv_nop if PV_NOP | i in true else fake + 0x1000 * (i + 1)
            for va, i in self.used.items()
        }
        features = frozenset(c for c in true if c < ITS_RETURN) | {ALWAYS}
        state = PatchingState(features, fake, its_return=ITS_RETURN in true, k8_nops=K8 in true, pv=pv)
        Patcher(self.facts, memory, state).run(inside)
        code = memory.read(start, end - start)
        assert isinstance(memory, _Scratch)
        memory.forget()
        return code

    def _template(self, start: int, end: int, inside: Sites, true: frozenset[int]) -> Template:
        code = self._run(self.plain, start, end, inside, true, self.fakes[0])
        proof = self._run(self.moved, start, end, inside, true, self.fakes[1])
        template = self._generalise(start, code, inside)
        made = self._proof(template, start)
        if made != proof:
            relocations = self._relocations(start, code, proof, inside)
            template = Template(template.code, template.fixes + tuple(relocations))
            made = self._proof(template, start)
        if made != proof:
            raise UnsupportedError(
                f"the alternatives at {start:#x} have a form that this generator does not know"
            )
        return template

    def _proof(self, template: Template, start: int) -> bytes:
        site, thunk = start - self.facts.base, self.fakes[1] - self.facts.base
        return fill(template, site, _DELTA, thunk, self.proof_targets, self._lead())

    def _lead(self) -> int:
        """How far before its target a call in a module's replacement leads, where it is counted first."""
        facts = self.facts
        return facts.call_thunk[1] if facts.in_module and facts.series.call_thunks == "before" else 0

    def _generalise(self, start: int, code: bytes, inside: Sites) -> Template:
        """`code` with its displacements named by their targets."""
        out = bytearray(code)
        fixes = []
        counted = self.facts.series.call_thunks == "after"
        lead = self._lead()
        at = 0
        while at < len(code) and (insn := decode(code, at)) is not None:
            field = insn.imm_at if insn.branches else insn.disp_at
            wide = insn.imm_size == 4 if insn.branches else insn.rip_relative
            if wide:
                where = at + field
                base = start + where + int.from_bytes(code[where : where + 4], "little", signed=True)
                number, rest = divmod(base + 4 - self.fakes[0], 0x1000)
                led = lead and rest == 0x1000 - lead
                if led:
                    number, rest = number + 1, 0
                if not insn.branches or rest or not 0 <= number <= len(self.pointers):
                    if not start <= base + 4 <= start + len(code):
                        fixes.append((where, REL, base - self.facts.base & 0xFFFFFFFF))
                        out[where : where + 4] = bytes(4)
                elif number == 0:
                    fixes.append((where, REL_RETURN, 0))
                    out[where : where + 4] = bytes(4)
                else:
                    first = any(alt.instr == start + at for alt in inside.alternatives)
                    through = led or (counted and first and insn.opcode[0] == CALL)
                    kind = REL_PV_COUNTED if through else REL_PV
                    fixes.append((where, kind, number - 1))
                    out[where : where + 4] = bytes(4)
            at += insn.length
        return Template(bytes(out), tuple(fixes))

    def _relocations(
        self, start: int, code: bytes, proof: bytes, inside: Sites
    ) -> list[tuple[int, int, int]]:
        candidates = {(va - start, kind) for va, kind in self.image.relocs_in(start, start + len(code))}
        for alt in inside.alternatives:
            for va, kind in self.image.relocs_in(alt.repl, alt.repl + alt.repl_size):
                candidates.add((va - alt.repl + alt.instr - start, kind))
        found = []
        for offset, kind in sorted(candidates):
            size, fix = _FIELDS[kind]
            if offset + size > len(code):
                continue
            change = -_DELTA if fix == SUB32 else _DELTA
            before = int.from_bytes(code[offset : offset + size], "little")
            after = int.from_bytes(proof[offset : offset + size], "little")
            if (before + change - after) % (1 << 8 * size) == 0:
                found.append((offset, fix, 0))
        return found


def relocate(memory: Memory, image: CodeImage, start: int, end: int, delta: int) -> None:
    """Add the KASLR delta as the decompressor does."""
    for va, kind in image.relocs_in(start, end - 8):
        size, fix = _FIELDS[kind]
        value = int.from_bytes(memory.read(va, size), "little") + (-delta if fix == SUB32 else delta)
        memory.write(va, (value % (1 << 8 * size)).to_bytes(size, "little"))


def fill(template: Template, site: int, delta: int, return_thunk: int, pv: list[int], lead: int = 0) -> bytes:
    """A template's bytes at offset `site` of .text, as the monitor makes them; targets are offsets too.

    What is counted leads `lead` bytes before its target.
    """
    out = bytearray(template.code)
    for offset, kind, argument in template.fixes:
        size = 8 if kind == ADD64 else 4
        value = int.from_bytes(out[offset : offset + size], "little")
        here = site + offset
        if kind == REL:
            value = argument - here
        elif kind == REL_RETURN:
            value = return_thunk - 4 - here
        elif kind in (REL_PV, REL_PV_COUNTED):
            value = pv[argument] - 4 - here - (lead if kind == REL_PV_COUNTED else 0)
        elif kind == SUB32:
            value -= delta
        else:
            value += delta
        out[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(out)


def _pruned(size: int, conditions: list[int], templates: list[Template]) -> Shape:
    """Without the conditions that make no difference."""
    i = 0
    while i < len(conditions):
        bit = 1 << i
        if all(templates[n] == templates[n ^ bit] for n in range(len(templates))):
            templates = [t for n, t in enumerate(templates) if not n & bit]
            del conditions[i]
        else:
            i += 1
    return Shape(size, tuple(conditions), tuple(templates))


def subset(sites: Sites, alternatives: list[Alternative], start: int, end: int, index: Index) -> Sites:
    """The sites at start <= address < end and in the replacements of `alternatives`."""
    ranges = [(start, end), *((a.repl, a.repl + a.repl_size) for a in alternatives)]
    return Sites(
        alternatives=alternatives,
        paravirt=[p for first, last in ranges for p in index.paravirt(first, last)],
        returns=[va for first, last in ranges for va in index.returns.within(first, last)],
        # A module keeps its replacements, and the calls in them are patched as others are.
        calls=[va for first, last in ranges for va in index.calls.within(first, last)],
    )


class Sorted:
    """Addresses, found by range."""

    def __init__(self, addresses: list[int]):
        self.addresses = sorted(addresses)

    def within(self, start: int, end: int) -> list[int]:
        from bisect import bisect_left

        return self.addresses[bisect_left(self.addresses, start) : bisect_left(self.addresses, end)]


class Index:
    """What may lie inside alternatives, by address."""

    def __init__(self, sites: Sites):
        self.returns = Sorted(sites.returns)
        self.calls = Sorted(sites.calls)
        self._paravirt = {va: (va, slot, size) for va, slot, size in sites.paravirt}
        self._paravirt_addresses = Sorted(list(self._paravirt))

    def paravirt(self, start: int, end: int) -> list[tuple[int, int, int]]:
        return [self._paravirt[va] for va in self._paravirt_addresses.within(start, end)]
