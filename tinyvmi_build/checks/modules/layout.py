"""Where the kernel puts a module's sections: layout_sections() of kernel/module/main.c.

Before Linux 6.4 (struct module_layout) a module is two allocations, its core
and what is freed after its init; since then (struct module_memory) each kind
of memory is one by itself.  Addresses here are link addresses, from a space
that no kernel uses: the monitor brings what it reads back to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from tinyvmi_build.elf.reader import SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, Section
from tinyvmi_build.kernel.ko import KoFile

PAGE = 4096
#: The first link address of a module, and the distance that lies between two allocations at least.
BASE = 0xFFFFFFFFC0000000
LIMIT = 0xFFFFFFFFFE000000
_APART = 1 << 16

#: Sections that are read at load and then dropped.
_DROPPED = frozenset([".modinfo", "__versions", "__version_ext_crcs", "__version_ext_names"])
_RO_AFTER_INIT = frozenset([".data..ro_after_init", "__jump_table"])
_STATIC_CALLS = ".static_call_sites"
_PER_CPU = ".data..percpu"


class Area(IntEnum):
    """A kind of a module's memory (enum tv_module_area)."""

    TEXT = 0
    RODATA = 1
    RO_AFTER_INIT = 2
    DATA = 3
    INIT_TEXT = 4
    INIT_RODATA = 5
    INIT_DATA = 6
    PERCPU = 7


CORE = (Area.TEXT, Area.RODATA, Area.RO_AFTER_INIT, Area.DATA)
INIT = (Area.INIT_TEXT, Area.INIT_RODATA, Area.INIT_DATA)


@dataclass(frozen=True)
class Block:
    """Memory that moves as one: link address, bytes, and the area at its begin."""

    start: int
    size: int
    area: Area


@dataclass
class Layout:
    """`start` and `size` (in whole pages) by area; `section` address and `area` by a section's index."""

    start: dict[Area, int] = field(default_factory=dict)
    size: dict[Area, int] = field(default_factory=dict)
    section: dict[int, int] = field(default_factory=dict)
    area: dict[int, Area] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True)
class Rules:
    """What differs between kernels: whether each area is an allocation, and .static_call_sites' area."""

    split: bool
    static_calls_ro: bool


def _area_of(section: Section, rules: Rules) -> Area | None:
    if not section.flags & SHF_ALLOC or section.name in _DROPPED:
        return None
    if section.name == _PER_CPU:
        return Area.PERCPU
    init = section.name.startswith(".init")
    if section.flags & SHF_EXECINSTR:
        return Area.INIT_TEXT if init else Area.TEXT
    if not section.flags & SHF_WRITE:
        return Area.INIT_RODATA if init else Area.RODATA
    if section.name in _RO_AFTER_INIT or (rules.static_calls_ro and section.name == _STATIC_CALLS):
        return Area.RO_AFTER_INIT
    return Area.INIT_DATA if init else Area.DATA


def lay_out(ko: KoFile, rules: Rules, base: int = BASE) -> Layout:
    """The layout of `ko` from link address `base` on."""
    members: dict[Area, list[Section]] = {area: [] for area in Area}
    for section in ko.sections:
        if (area := _area_of(section, rules)) is not None:
            members[area].append(section)
    layout = Layout(end=base)
    for group in [(area,) for area in (*CORE, *INIT)] if rules.split else [CORE, INIT]:
        _allocate(layout, group, members)
    _allocate(layout, (Area.PERCPU,), members)
    return layout


def _allocate(layout: Layout, group: tuple[Area, ...], members: dict[Area, list[Section]]) -> None:
    """One allocation; each area in it ends at the end of a page."""
    start = at = -(-layout.end // _APART) * _APART
    for area in group:
        layout.start[area] = at
        for section in members[area]:
            at = -(-at // section.align) * section.align
            layout.section[section.index] = at
            layout.area[section.index] = area
            at += section.size
        at = -(-at // PAGE) * PAGE
        layout.size[area] = at - layout.start[area]
    if at > start:
        layout.blocks.append(Block(start, at - start, group[0]))
        layout.end = at + _APART
