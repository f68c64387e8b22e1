"""A module linked as the kernel's loader does it, at link addresses.

The loader's part is apply_relocate_add() of arch/x86/kernel/module.c.
What depends on where the kernel put this module, another one, or itself, is
recorded, by which the monitor takes it back.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.modules.layout import LIMIT, Area, Layout, Rules, lay_out
from tinyvmi_build.elf.reader import SHN_ABS, SHN_LORESERVE, SHN_UNDEF, Section
from tinyvmi_build.kernel.ko import KoFile
from tinyvmi_build.kernel.relocs import RelocKind

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


class Field(IntEnum):
    """How a value depends on addresses (enum tv_module_field)."""

    ABS64 = 0
    ABS32 = 1
    PC32 = 2
    PC64 = 3


SIZES = {Field.ABS64: 8, Field.ABS32: 4, Field.PC32: 4, Field.PC64: 8}
#: R_X86_64_* (elf.h, x86-64 psABI): 0 is R_X86_64_NONE.
_TYPES = {1: Field.ABS64, 10: Field.ABS32, 11: Field.ABS32, 2: Field.PC32, 4: Field.PC32, 24: Field.PC64}

#: What is read of memory that is not verified itself: tables of patch sites.
_TABLES = frozenset(["__jump_table", ".static_call_sites"])

#: Numbers of blocks that are not a module's.
KERNEL, ABSOLUTE = 0, 1


@dataclass(frozen=True)
class Region:
    """A block as the monitor finds it: `module` is 0 for this one, n for its n-th dependency."""

    start: int
    size: int
    area: Area
    module: int


class Record(NamedTuple):
    """A value at `va` that counts from a region (or KERNEL, ABSOLUTE)."""

    va: int
    field: Field
    region: int


@dataclass(frozen=True)
class Linked:
    """Bytes of an area and its records in address order."""

    data: bytes
    records: list[Record]


class Target(NamedTuple):
    address: int
    region: int


class Names:
    """What a module's undefined symbols can lead to: the kernel's and its dependencies' exports."""

    def __init__(self, kernel: KernelImage):
        self.kernel = kernel
        self._known: dict[str, Target | None] = {}

    def find(self, name: str) -> Target | None:
        if name not in self._known:
            self._known[name] = self._lookup(name)
        return self._known[name]

    def _lookup(self, name: str) -> Target | None:
        found = self.kernel.symbols.all(name)
        # A static function may have an exported one's name: of those, kallsyms marks the global one.
        found = [s for s in found if s.type.isupper()] or found
        if not found:
            return None
        if len({s.address for s in found}) > 1:
            raise UnsupportedError(f"the kernel has several symbols {name}")
        return Target(found[0].address, ABSOLUTE if found[0].absolute else KERNEL)


class Module:
    """One .ko and its layout; `needs` are the modules that its `depends` names, in their order."""

    def __init__(self, ko: KoFile, rules: Rules, needs: list[Module], names: Names):
        self.ko = ko
        self.name = ko.name
        self.rules = rules
        self.needs = needs
        self.names = names
        self.layout = lay_out(ko, rules)
        self.regions = [Region(b.start, b.size, b.area, 0) for b in self.layout.blocks]
        self._others: dict[str, tuple[Layout, KoFile, dict[str, int]]] = {}
        end = self.layout.end
        for number, other in enumerate(needs, 1):
            layout = lay_out(other.ko, rules, end)
            end = layout.end
            self.regions += [Region(b.start, b.size, b.area, number) for b in layout.blocks]
            self._others[other.name] = layout, other.ko, other.exports
        if end > LIMIT:
            raise UnsupportedError("the module and what it depends on are too large")
        self._starts = [region.start for region in self.regions]

    @cached_property
    def needed(self) -> list[tuple[int, bytes]]:
        """Link address and bytes of the text of each module that this one needs, as in its file."""
        found = []
        for layout, ko, _ in self._others.values():
            start = layout.start[Area.TEXT]
            data = bytearray(layout.size[Area.TEXT])
            for section in ko.sections:
                if layout.area.get(section.index) == Area.TEXT:
                    at = layout.section[section.index] - start
                    data[at : at + section.size] = ko.bytes_of(section)
            found.append((start, bytes(data)))
        return found

    @cached_property
    def exports(self) -> dict[str, int]:
        """Name → number of each global symbol that the module defines."""
        return {
            s.name: i
            for i, s in enumerate(self.ko.symbols)
            if s.bind and s.section != SHN_UNDEF and s.section < SHN_LORESERVE
        }

    def region_of(self, va: int) -> int:
        """The number of the region that holds `va`, or ends there."""
        i = bisect_right(self._starts, va) - 1
        if i < 0 or va > self.regions[i].start + self.regions[i].size:
            raise UnsupportedError(f"a symbol at {va:#x} is in no section that stays loaded")
        return i + 2

    @cached_property
    def targets(self) -> list[Target | None]:
        """Address of each symbol, by its number; None for one whose section does not stay loaded."""
        return [self._target(i) for i in range(len(self.ko.symbols))]

    def _target(self, number: int) -> Target | None:
        symbol = self.ko.symbols[number]
        if symbol.section == SHN_ABS:
            return Target(symbol.value, ABSOLUTE)
        if symbol.section == SHN_UNDEF:
            return self._undefined(number)
        if symbol.section >= SHN_LORESERVE or symbol.section not in self.layout.section:
            return None
        base = self.layout.section[symbol.section]
        return Target(base + symbol.value, self.region_of(base))

    def _undefined(self, number: int) -> Target | None:
        symbol = self.ko.symbols[number]
        if number == 0 or not symbol.name:
            return None
        found = self.names.find(symbol.name)
        if found is not None:
            return found
        for layout, ko, exports in self._others.values():
            if (index := exports.get(symbol.name)) is not None:
                other = ko.symbols[index]
                if other.section in layout.section:
                    base = layout.section[other.section]
                    return Target(base + other.value, self.region_of(base))
        return Target(0, ABSOLUTE) if symbol.weak else None

    # Linking

    def linked(self, area: Area, init_first: bool = False, only: frozenset[str] | None = None) -> Linked:
        """The area's bytes; `init_first`: what is freed after init lies below the module.

        With `only` no sections but those named are relocated.
        """
        start = self.layout.start[area]
        data = bytearray(self.layout.size[area])
        records: list[Record] = []
        sections = [s for s in self.ko.sections if self.layout.area.get(s.index) == area]
        orders = self._orders(sections, init_first) if only is None else {}
        for section in sections:
            at = self.layout.section[section.index] - start
            content = self.ko.bytes_of(section)
            order = orders.get(section.index)
            if order:
                size, positions = order
                moved = bytearray(len(content))
                for old, new in enumerate(positions):
                    moved[new * size : new * size + size] = content[old * size : old * size + size]
                content = bytes(moved)
            data[at : at + len(content)] = content
            if only is None or section.name in only:
                self._relocate(section, data, start, order, records)
        records.sort()
        return Linked(bytes(data), records)

    def _relocate(
        self,
        section: Section,
        data: bytearray,
        start: int,
        order: tuple[int, list[int]] | None,
        records: list[Record],
    ) -> None:
        base = self.layout.section[section.index]
        own = self.region_of(base)
        targets = self.targets
        for offset, kind, number, addend in self.ko.relocations(section):
            if not kind:
                continue
            form = _TYPES.get(kind)
            target = targets[number]
            if form is None:
                raise UnsupportedError(f"a relocation of type {kind} in {section.name}")
            if target is None:
                name = self.ko.symbols[number].name or "a section that does not stay loaded"
                raise UnsupportedError(f"{section.name} needs {name}, which nothing has")
            if order:
                size, positions = order
                offset = positions[offset // size] * size + offset % size
            va = base + offset
            value = target.address + addend
            region = target.region
            if form >= Field.PC32:
                value -= va
                if region != own:
                    records.append(Record(va, form, region))
            elif region != ABSOLUTE:
                records.append(Record(va, form, region))
            if form in (Field.ABS64, Field.PC64):
                struct.pack_into("<Q", data, va - start, value & 0xFFFFFFFFFFFFFFFF)
            else:
                struct.pack_into("<I", data, va - start, value & 0xFFFFFFFF)

    def _orders(self, sections: list[Section], init_first: bool) -> dict[int, tuple[int, list[int]]]:
        """Tables that the loader sorts: section → (size of an entry, new position of each)."""
        by_name = {section.name: section for section in sections}
        found: dict[int, tuple[int, list[int]]] = {}
        for name, size in (("__mcount_loc", 8), ("__ex_table", 12)):
            if section := by_name.get(name):
                found[section.index] = size, self._positions(section, size, init_first)
        ip, orc = by_name.get(".orc_unwind_ip"), by_name.get(".orc_unwind")
        if ip and orc:
            count = ip.size // 4
            if not count or orc.size % count:
                raise UnsupportedError("the tables for unwinding do not fit together")
            size, content = orc.size // count, self.ko.bytes_of(orc)
            # Of two entries for one address the one that ends a section comes first (orc_sort_cmp).
            ends = [content[i * size : i * size + size] != bytes(size) for i in range(count)]
            positions = self._positions(ip, 4, init_first, ends.__getitem__)
            found[ip.index] = 4, positions
            found[orc.index] = size, positions
        return found

    def _positions(
        self, section: Section, size: int, init_first: bool, second: Callable[[int], bool] | None = None
    ) -> list[int]:
        """The new position of each entry, by what its first field leads to."""
        count = section.size // size
        keys: list[int | None] = [None] * count
        shift = -(1 << 40) if init_first else (1 << 40)
        for offset, _, number, addend in self.ko.relocations(section):
            if offset % size:
                continue
            target = self.targets[number]
            if target is None:
                raise UnsupportedError(f"{section.name} names a symbol that nothing has")
            init = target.region > ABSOLUTE and self.regions[target.region - 2].area in (
                Area.INIT_TEXT,
                Area.INIT_RODATA,
                Area.INIT_DATA,
            )
            keys[offset // size] = target.address + addend + shift * init
        if any(key is None for key in keys) or section.size % size:
            raise UnsupportedError(f"{section.name} is not a table of entries of {size} bytes")
        order = sorted(range(count), key=lambda i: (keys[i], second(i) if second else False))
        positions = [0] * count
        for new, old in enumerate(order):
            positions[old] = new
        return positions


class ModuleImage:
    """A linked module as `golden.text` sees a kernel: its own memory, and the kernel's facts."""

    def __init__(self, module: Module):
        self.module = module
        self.kernel = module.names.kernel
        self.symbols = self.kernel.symbols
        self.btf = self.kernel.btf
        self.release = self.kernel.release
        self.text = module.layout.start[Area.TEXT]
        self.etext = self.text + module.layout.size[Area.TEXT]
        self.linked = {area: module.linked(area) for area in (Area.TEXT, Area.RODATA)}
        for area in (Area.RO_AFTER_INIT, Area.DATA, Area.INIT_TEXT):
            self.linked[area] = module.linked(area, only=_TABLES)

    def read(self, va: int, n: int) -> bytes:
        """`n` bytes at link address `va`, of this module, of the text of one that it needs, or the kernel."""
        for area, linked in self.linked.items():
            at = va - self.module.layout.start[area]
            if at >= 0 and at + n <= len(linked.data):
                return linked.data[at : at + n]
        for start, data in self.module.needed:
            if start <= va and va + n <= start + len(data):
                return data[va - start : va - start + n]
        return self.kernel.read(va, n)

    def is_code(self, va: int) -> bool:
        """Whether the kernel's text is there, or a module's."""
        texts = (r for r in self.module.regions if r.area == Area.TEXT)
        return self.kernel.is_code(va) or any(r.start <= va < r.start + r.size for r in texts)

    def u64(self, va: int) -> int:
        return int.from_bytes(self.read(va, 8), "little")

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(address, bytes) of what the module has at start <= address < end."""
        for area, linked in self.linked.items():
            first = self.module.layout.start[area]
            low, high = max(first, start), min(first + len(linked.data), end)
            if low < high:
                yield low, linked.data[low - first : high - first]

    def table(self, name: str) -> tuple[int, bytes]:
        """Address and bytes of the section `name`; (0, b"") if there is none."""
        section = self.module.ko.section(name)
        if section is None or section.index not in self.module.layout.section:
            return 0, b""
        va = self.module.layout.section[section.index]
        return va, self.read(va, section.size)

    @cached_property
    def own_symbols(self) -> list[tuple[str, int, bool]]:
        """(name, address, whether a function) of each symbol of the module's own."""
        found = []
        for symbol, target in zip(self.module.ko.symbols, self.module.targets, strict=True):
            if target is not None and target.region > ABSOLUTE and symbol.name and symbol.section:
                found.append((symbol.name, target.address, symbol.function))
        return found

    @cached_property
    def _moving(self) -> list[tuple[int, RelocKind]]:
        """The text's fields that change when all of kernel and modules move by one distance."""
        kinds = {Field.ABS64: RelocKind.R64, Field.ABS32: RelocKind.R32}
        found = []
        for record in self.linked[Area.TEXT].records:
            if record.field in kinds:
                found.append((record.va, kinds[record.field]))
            elif record.region == ABSOLUTE:
                found.append((record.va, RelocKind.INVERSE32))
        return found

    def relocs_in(self, start: int, end: int) -> list[tuple[int, RelocKind]]:
        """As of a kernel: (address, kind) at start <= address < end."""
        first = bisect_left(self._moving, start, key=lambda m: m[0])
        return self._moving[first : bisect_left(self._moving, end, key=lambda m: m[0])]
