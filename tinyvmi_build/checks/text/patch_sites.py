"""The patched places of .text, read back from a profile: for whoever wants to change or name them."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from tinyvmi_build.checks.text.regions import Kind

_NO_ARGUMENT = {Kind.RETURN, Kind.LOCK, Kind.ENDBR, Kind.FTRACE, Kind.JUMP_LABEL}
_NAMES = {Kind.TRAMPOLINE: "static-call-trampoline", Kind.FTRACE_UPDATE: "ftrace"}
_PAGE = 4096


class Profile(Protocol):
    """The part of a KernelProfile that is needed here."""

    @property
    def golden(self) -> dict[str, Any]: ...

    def blob(self, name: str, /) -> bytes: ...


@dataclass(frozen=True)
class Place:
    """One place: link address, bytes, kind, and its argument or (jump label) (target, key, branch)."""

    va: int
    size: int
    kind: Kind
    argument: int = 0
    jump: tuple[int, int, int] | None = None  # link addresses of target and key; branch

    @property
    def name(self) -> str:
        """The `kind` of a finding there."""
        return _NAMES.get(self.kind) or self.kind.name.lower().replace("_", "-")


class Places:
    """Every place of a profile's kernel, in address order."""

    def __init__(self, profile: Profile):
        self._profile = profile
        self.golden = profile.golden["text"]
        self.text: int = self.golden["va"]

    @cached_property
    def all(self) -> list[Place]:
        blob = self._profile.blob
        index = struct.iter_unpack("<I", blob("text.site_index"))
        sites = array("H", blob("text.sites"))
        args = iter(array("H", blob("text.args")))
        jumps = struct.iter_unpack("<IHBB", blob("text.jumps"))
        keys = array("I", blob("text.jump_keys"))
        starts = [value for (value,) in index]
        found = []
        for page in range(len(starts) - 1):
            for entry in sites[starts[page] : starts[page + 1]]:
                kind = Kind(entry >> 12)
                va = self.text + page * _PAGE + (entry & 0xFFF)
                argument = 0 if kind in _NO_ARGUMENT else next(args)
                if kind == Kind.JUMP_LABEL:
                    target, key, size, branch = next(jumps)
                    where = self.text + target, self.text + keys[key], branch
                    found.append(Place(va, size, kind, 0, where))
                else:
                    found.append(Place(va, self._size(kind, argument), kind, argument))
        return found

    def _size(self, kind: Kind, argument: int) -> int:
        if kind == Kind.ALTERNATIVE:
            return int(self.golden["shapes"][argument]["size"])
        if kind == Kind.RETPOLINE:
            return 5 + (argument >> 5 & 1)
        if kind == Kind.PARAVIRT:
            return argument >> 8
        if kind == Kind.RUNTIME_CONST:
            return 1 if self.golden["constants"]["list"][argument]["kind"] == 1 else 8
        return {Kind.LOCK: 1, Kind.ENDBR: 4}.get(kind, 5)

    def of(self, kind: Kind) -> list[Place]:
        return [place for place in self.all if place.kind == kind]

    @cached_property
    def _addresses(self) -> list[int]:
        return [place.va for place in self.all]

    def at(self, va: int) -> Place | None:
        """The place that holds `va`."""
        i = bisect_right(self._addresses, va) - 1
        if i >= 0 and va < self.all[i].va + self.all[i].size:
            return self.all[i]
        return None

    def within(self, start: int, end: int) -> list[Place]:
        """The places that reach into start <= address < end."""
        first = bisect_right(self._addresses, start) - 1
        return [
            place
            for place in self.all[max(first, 0) : bisect_left(self._addresses, end)]
            if place.va + place.size > start
        ]

    def function_of(self, va: int) -> int:
        """The entry of the last function that begins below `va`."""
        i = bisect_left(self.functions, va) - 1
        return self.functions[i] if i >= 0 else self.text

    def call_key(self, place: Place) -> int:
        """Link address of a static call's key."""
        keys = array("I", self._profile.blob("text.call_keys"))
        return self.text + keys[place.argument & 0x7FFF]

    @cached_property
    def functions(self) -> list[int]:
        """Link addresses of the functions' entries."""
        blob = self._profile.blob
        starts = array("I", blob("text.function_index"))
        offsets = array("H", blob("text.functions"))
        return [
            self.text + page * _PAGE + offset % _PAGE
            for page in range(len(starts) - 1)
            for offset in offsets[starts[page] : starts[page + 1]]
        ]
