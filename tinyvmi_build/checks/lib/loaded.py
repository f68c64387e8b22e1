"""A module in a guest: where it is, and its patched places by the link addresses that `Guest` takes."""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any

from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.packed import AsText, unpacked
from tinyvmi_build.checks.tamper import Guest
from tinyvmi_build.checks.text.patch_sites import Place, Places

_MAX = 1024
_MASK = (1 << 64) - 1


class LoadedModule:
    """The module `name`, found on the guest's list; LookupError if it is not loaded.

    `at` is its struct module, `base` the begin of each area; addresses as `Guest` takes them.
    """

    def __init__(self, guest: Guest, name: str):
        self.guest = guest
        self.name = name
        self.facts: dict[str, Any] = guest.profile.golden["modules"]
        self.golden, self.tables = unpacked(guest.profile.blob(f"modules/{name}"))
        self.at = self._find()
        self.base = self._bases()

    def read(self, at: int, size: int) -> bytes:
        """Page by page: what is consecutive here need not be in physical memory."""
        found = b""
        while len(found) < size:
            here = at + len(found)
            found += self.guest.read(here, min(size - len(found), 4096 - here % 4096))
        return found

    def _integer(self, at: int, size: int = 8) -> int:
        return int.from_bytes(self.read(at, size), "little")

    def _link(self, running: int) -> int:
        return running - self.guest.delta & _MASK

    def _find(self) -> int:
        head = self.guest.profile.text_va + self.facts["head"]
        at = self._link(self._integer(head))
        for _ in range(_MAX):
            if at == head:
                break
            module = at - self.facts["next"]
            if self.read(module + self.facts["name"], 56).split(b"\0")[0] == self.name.encode():
                return module
            at = self._link(self._integer(at))
        raise LookupError(f"the module {self.name} is not loaded")

    def _bases(self) -> dict[Area, int]:
        facts, layout = self.facts, self.at + self.facts["layout"]
        if facts["split"]:
            return {
                area: self._link(self._integer(layout + number * facts["memory_size"] + facts["base"]))
                for area, number in zip(Area, facts["memory"], strict=False)
            }
        base = self._link(self._integer(layout + facts["base"]))
        ends = [self._integer(layout + facts[n], 4) for n in ("text_size", "ro_size", "ro_after_init_size")]
        areas = (Area.TEXT, Area.RODATA, Area.RO_AFTER_INIT, Area.DATA)
        return {area: base + end for area, end in zip(areas, [0, *ends], strict=True)}

    @cached_property
    def places(self) -> Places:
        """Its patched places; targets of jump labels are in its own code."""
        return _ModulePlaces(self)


class _ModulePlaces(Places):
    def __init__(self, module: LoadedModule):
        text = module.guest.profile.golden["text"]
        super().__init__(AsText(text, module.golden, module.tables, module.base[Area.TEXT]))
        self._module = module

    @cached_property
    def all(self) -> list[Place]:
        found = []
        for place in super().all:
            if place.jump:
                target = self._here(place.jump[0])
                place = Place(place.va, place.size, place.kind, 0, (target, place.jump[1], place.jump[2]))
            found.append(place)
        return found

    def _here(self, va: int) -> int:
        """From an offset of the generator's address space to where the code is."""
        start: int = self._module.golden["starts"]["TEXT"]
        return va - start

    def call_key(self, place: Place) -> int:
        """Link address of a static call's key, in the kernel, this module or one that it needs."""
        keys = struct.iter_unpack("<I", self._module.tables["text.call_keys"])
        offset = list(keys)[place.argument & 0x7FFF][0]
        for start, size, area, number in self._module.golden["regions"]:
            if start <= offset < start + size:
                owner = self._module
                if number:
                    owner = LoadedModule(owner.guest, owner.golden["needs"][number - 1])
                return owner.base[Area(area)] + offset - start
        return self._module.guest.profile.text_va + offset
