"""Every patch site of .text as one sorted list without overlaps, ready for the monitor's one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.facts import Facts, pv_pointers
from tinyvmi_build.checks.text.golden import Template
from tinyvmi_build.checks.text.patch import runs
from tinyvmi_build.checks.text.series import Series, series_of
from tinyvmi_build.checks.text.shapes import Index, Shape, ShapeMaker, subset
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.sites import Alternative, Sites, read_sites

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.source import CodeImage
    from tinyvmi_build.kernel.image import KernelImage


@dataclass(frozen=True)
class Region:
    """One site; `args` are the 16-bit numbers that the monitor needs besides, or it has a `shape`."""

    va: int
    size: int
    kind: Kind
    args: tuple[int, ...] = ()
    shape: Shape | None = None


class Regions:
    """The sites of one kernel, or of one module, and the tables that their arguments lead to.

    `pointers` are those of pv_ops that the kernel's own sites go through.
    """

    def __init__(self, image: CodeImage, facts: Facts, sites: Sites, pointers: list[int]):
        self.image = image
        self.series: Series = facts.series
        self.facts = facts
        self.sites = sites
        self.pointers = pointers
        self.jump_keys = sorted({j.key for j in self.sites.jumps if self._in_text(j.code)})
        keys = {c.key for c in self.sites.static_calls if self._in_text(c.site)}
        self.call_keys = sorted(keys | {key for _, key in self.sites.trampolines})
        self.constants = sorted({r.symbol for r in self.sites.runtime})
        self.regions = self._merge(sorted(self._all(), key=lambda r: (r.va, -r.size)))

    @classmethod
    def of_kernel(cls, image: KernelImage) -> Regions:
        series = series_of(image)
        facts = Facts(image, series)
        sites = read_sites(image, series)
        return cls(image, facts, sites, pv_pointers(facts, sites))

    def _in_text(self, va: int) -> bool:
        return self.facts.text <= va < self.facts.etext

    def _all(self) -> Iterator[Region]:
        for region in self._each():
            if self._in_text(region.va):
                yield region

    def _each(self) -> Iterator[Region]:
        sites = self.sites
        for first, last in runs(sites.alternatives):
            entries = sites.alternatives[first:last]
            yield Region(entries[0].instr, max(a.size for a in entries), Kind.ALTERNATIVE)
        yield from (Region(va, 5, Kind.RETURN) for va in sites.returns)
        yield from (self._retpoline(va) for va in sites.retpolines if self._in_text(va))
        index = {va: i for i, va in enumerate(self.pointers)}
        for va, slot, size in sites.paravirt:
            pointer = index.get(self.facts.pv_ops + 8 * slot)
            if pointer is None:
                raise UnsupportedError(
                    "a paravirt call goes through a pointer that the kernel itself does not use"
                )
            yield Region(va, size, Kind.PARAVIRT, (pointer | size << 8,))
        # A record may point at another prefix in front of the lock: such a site is never changed.
        yield from (
            Region(va, 1, Kind.LOCK)
            for va in sites.locks
            if self._in_text(va) and self.image.read(va, 1) in (b"\xf0", b"\x3e")
        )
        yield from (Region(va, 4, Kind.ENDBR) for va in sites.endbrs)
        yield from (Region(va, 5, Kind.FTRACE) for va in sites.mcount)
        yield from self._keyed()
        for constant in sites.runtime:
            yield Region(
                constant.where, constant.size, Kind.RUNTIME_CONST, (self.constants.index(constant.symbol),)
            )
        for name in ("ftrace_call", "ftrace_regs_call", "ftrace_graph_call"):
            if (where := self.image.symbols.get(name)) is not None:
                yield Region(where, 5, Kind.FTRACE_UPDATE, (int(name == "ftrace_graph_call"),))
        if (where := self.image.symbols.get("early_xen_iret_patch")) is not None:
            yield Region(where, 5, Kind.ALTERNATIVE, shape=self._xen_iret(where))

    def _retpoline(self, va: int) -> Region:
        code = self.image.read(va, 7)
        prefix = int(code[0] == 0x2E)
        if code[prefix] not in (0xE8, 0xE9):
            raise UnsupportedError(f"the retpoline site {va:#x} is neither call nor jmp")
        target = va + prefix + 5 + int.from_bytes(code[prefix + 1 : prefix + 5], "little", signed=True)
        register, rest = divmod(target - self.facts.thunks, 32)
        if rest or not 0 <= register < 16:
            raise UnsupportedError(f"the retpoline site {va:#x} does not lead to a thunk")
        argument = register | (code[prefix] & 1) << 4 | prefix << 5
        return Region(va, prefix + 5, Kind.RETPOLINE, (argument,))

    def _keyed(self) -> Iterator[Region]:
        for jump in self.sites.jumps:
            if self._in_text(jump.code):
                yield Region(jump.code, jump.size, Kind.JUMP_LABEL)
        index = {key: i for i, key in enumerate(self.call_keys)}
        if len(index) > 0x7FFF:
            raise UnsupportedError(f"the kernel has {len(index)} static calls")
        for call in self.sites.static_calls:
            if not self._in_text(call.site):
                continue
            if self.image.read(call.site, 1)[0] not in (0xE8, 0xE9):
                raise UnsupportedError(f"the static call at {call.site:#x} is neither call nor jmp")
            yield Region(call.site, 5, Kind.STATIC_CALL, (index[call.key] | call.tail << 15,))
        for va, key in self.sites.trampolines:
            yield Region(va, 5, Kind.TRAMPOLINE, (index[key],))

    def _xen_iret(self, va: int) -> Shape:
        """xen_start_kernel() (arch/x86/xen/enlighten_pv.c)"""
        from tinyvmi_build.checks.text.golden import REL
        from tinyvmi_build.checks.text.series import XENPV

        target = require(self.image, "xen_iret") - 4 - self.facts.base
        xen = Template(b"\xe9\0\0\0\0", ((1, REL, target & 0xFFFFFFFF),))
        return Shape(5, (XENPV,), (Template(self.image.read(va, 5), ()), xen))

    def _merge(self, regions: list[Region]) -> list[Region]:
        """Without overlaps: what lies inside an alternative is part of its shape."""
        by_start: dict[int, list[Alternative]] = {}
        for alt in self.sites.alternatives:
            by_start.setdefault(alt.instr, []).append(alt)
        maker = ShapeMaker(self.image, self.facts, self.sites, self.pointers)
        index = Index(self.sites)
        merged: list[Region] = []
        i = 0
        while i < len(regions):
            cluster = [regions[i]]
            end = regions[i].va + regions[i].size
            i += 1
            while i < len(regions) and regions[i].va < end:
                cluster.append(regions[i])
                end = max(end, regions[i].va + regions[i].size)
                i += 1
            merged.append(self._one(cluster, end, by_start, maker, index))
        return merged

    def _one(
        self,
        cluster: list[Region],
        end: int,
        by_start: dict[int, list[Alternative]],
        maker: ShapeMaker,
        index: Index,
    ) -> Region:
        start = cluster[0].va
        kinds = {region.kind for region in cluster}
        if len(cluster) == 1 and (cluster[0].kind != Kind.ALTERNATIVE or cluster[0].shape):
            return cluster[0]
        if kinds == {Kind.RETURN, Kind.TRAMPOLINE}:
            return next(region for region in cluster if region.kind == Kind.TRAMPOLINE)
        if not kinds <= {Kind.ALTERNATIVE, Kind.RETURN, Kind.PARAVIRT} or any(r.shape for r in cluster):
            names = ", ".join(sorted(kind.name.lower() for kind in kinds))
            raise UnsupportedError(f"at {start:#x} several kinds of patch sites overlap ({names})")
        starts = [region.va for region in cluster if region.kind == Kind.ALTERNATIVE]
        alternatives = [alt for va in starts for alt in by_start[va]]
        inside = subset(self.sites, alternatives, start, end, index)
        return Region(start, end - start, Kind.ALTERNATIVE, shape=maker.shape(start, end, inside))
