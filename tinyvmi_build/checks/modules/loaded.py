"""A module in a guest: where it is, and its patch sites by the link addresses that `Guest` takes."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.module import load_module
from tinyvmi_build.checks.tamper import Guest
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites

_MAX = 1024
_MASK = (1 << 64) - 1


class LoadedModule:
    """The module `name`, found on the guest's list; LookupError if it is not loaded.

    `at` is its struct module, `base` the begin of each area; addresses as `Guest` takes them.
    """

    def __init__(self, guest: Guest, name: str):
        self.guest = guest
        self.name = name
        self.facts = guest.profile.golden(ModulesGolden)
        self.golden = load_module(guest.profile, name)
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
        head = self.guest.profile.text_va + self.facts.head
        at = self._link(self._integer(head))
        for _ in range(_MAX):
            if at == head:
                break
            module = at - self.facts.next
            if self.read(module + self.facts.name, 56).split(b"\0")[0] == self.name.encode():
                return module
            at = self._link(self._integer(at))
        raise LookupError(f"the module {self.name} is not loaded")

    def _bases(self) -> dict[Area, int]:
        if (split := self.facts.split) is not None:
            layout = self.at + split.layout
            return {
                area: self._link(self._integer(layout + number * split.memory_size + split.base))
                for area, number in zip(Area, split.memory, strict=False)
            }
        core = self.facts.core
        assert core is not None
        layout = self.at + core.layout
        base = self._link(self._integer(layout + core.base))
        ends = [
            self._integer(layout + at, 4) for at in (core.text_size, core.ro_size, core.ro_after_init_size)
        ]
        areas = (Area.TEXT, Area.RODATA, Area.RO_AFTER_INIT, Area.DATA)
        return {area: base + end for area, end in zip(areas, [0, *ends], strict=True)}

    @cached_property
    def sites(self) -> PatchSites:
        """Its patch sites; targets of jump labels are in its own code."""
        return _ModuleSites(self)


class _ModuleSites(PatchSites):
    def __init__(self, module: LoadedModule):
        text = module.guest.profile.golden(TextGolden)
        super().__init__(module.golden.as_text(text, module.base[Area.TEXT]))
        self._module = module

    @cached_property
    def all(self) -> list[PatchSite]:
        found = []
        for site in super().all:
            if site.jump:
                target, key, branch = site.jump
                site = replace(site, jump=(target - self._module.golden.starts[Area.TEXT], key, branch))
            found.append(site)
        return found

    def call_key(self, site: PatchSite) -> int:
        """Link address of a static call's key, in the kernel, this module or one that it needs."""
        offset = self._module.golden.code.call_keys.values[site.argument & 0x7FFF]
        for region in self._module.golden.regions:
            if region.start <= offset < region.start + region.size:
                owner = self._module
                if region.module:
                    owner = LoadedModule(owner.guest, owner.golden.needs[region.module - 1])
                return owner.base[Area(region.area)] + offset - region.start
        return self._module.guest.profile.text_va + offset
