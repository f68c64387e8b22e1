"""The patch sites of code, read back from a profile: for whoever wants to change or name them."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.state import SHIFT

_NO_ARGUMENT = {Kind.RETURN, Kind.LOCK, Kind.ENDBR, Kind.FTRACE, Kind.JUMP_LABEL}
_NAMES = {Kind.TRAMPOLINE: "static-call-trampoline", Kind.FTRACE_UPDATE: "ftrace"}


@dataclass(frozen=True)
class PatchSite:
    """One site: link address, bytes, kind, and its argument or (jump label) (target, key, branch)."""

    va: int
    size: int
    kind: Kind
    argument: int = 0
    jump: tuple[int, int, int] | None = None  # link addresses of target and key; branch

    @property
    def name(self) -> str:
        """The `kind` of a finding there."""
        return _NAMES.get(self.kind) or self.kind.name.lower().replace("_", "-")


class PatchSites:
    """Every patch site of a kernel's code, or of a module's, in address order."""

    def __init__(self, golden: TextGolden):
        self.golden = golden
        self.text = golden.va

    @cached_property
    def all(self) -> list[PatchSite]:
        code = self.golden.code
        starts = code.site_index.values
        sites = code.sites.values
        args = iter(code.args)
        jumps = struct.iter_unpack("<IHBB", code.jumps.data)
        keys = code.jump_keys.values
        found = []
        for page in range(len(starts) - 1):
            for entry in sites[starts[page] : starts[page + 1]]:
                kind = Kind(entry >> 12)
                va = self.text + page * PAGE + (entry & 0xFFF)
                argument = 0 if kind in _NO_ARGUMENT else next(args)
                if kind == Kind.JUMP_LABEL:
                    target, key, size, branch = next(jumps)
                    where = self.text + target, self.text + keys[key], branch
                    found.append(PatchSite(va, size, kind, 0, where))
                else:
                    found.append(PatchSite(va, self._size(kind, argument), kind, argument))
        return found

    def _size(self, kind: Kind, argument: int) -> int:
        if kind == Kind.ALTERNATIVE:
            return self.golden.shapes[argument].size
        if kind == Kind.RETPOLINE:
            return 5 + (argument >> 5 & 1)
        if kind == Kind.PARAVIRT:
            return argument >> 8
        if kind == Kind.RUNTIME_CONST:
            return 1 if self.golden.constants.list[argument].kind == SHIFT else 8
        return {Kind.LOCK: 1, Kind.ENDBR: 4}.get(kind, 5)

    def of(self, kind: Kind) -> list[PatchSite]:
        return [site for site in self.all if site.kind == kind]

    @cached_property
    def _addresses(self) -> list[int]:
        return [site.va for site in self.all]

    def at(self, va: int) -> PatchSite | None:
        """The site that holds `va`."""
        i = bisect_right(self._addresses, va) - 1
        if i >= 0 and va < self.all[i].va + self.all[i].size:
            return self.all[i]
        return None

    def within(self, start: int, end: int) -> list[PatchSite]:
        """The sites that reach into start <= address < end."""
        first = bisect_right(self._addresses, start) - 1
        return [
            site
            for site in self.all[max(first, 0) : bisect_left(self._addresses, end)]
            if site.va + site.size > start
        ]

    def function_of(self, va: int) -> int:
        """The entry of the last function that begins below `va`."""
        i = bisect_left(self.functions, va) - 1
        return self.functions[i] if i >= 0 else self.text

    def call_key(self, site: PatchSite) -> int:
        """Link address of a static call's key."""
        return self.text + self.golden.code.call_keys.values[site.argument & 0x7FFF]

    @cached_property
    def functions(self) -> list[int]:
        """Link addresses of the functions' entries."""
        starts = self.golden.code.function_index.values
        offsets = self.golden.code.functions.values
        return [
            self.text + page * PAGE + offset % PAGE
            for page in range(len(starts) - 1)
            for offset in offsets[starts[page] : starts[page + 1]]
        ]
