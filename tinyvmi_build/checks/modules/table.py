"""The tables of a kernel's modules as C: those of a kind are one array, of which each module has a part."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tinyvmi_build.checks.lib.c_arrays import Arrays, numbers_of
from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.modules.common import wanted
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.module import ModuleGolden, PageTables, load_module
from tinyvmi_build.checks.modules.settings import ModulesSettings
from tinyvmi_build.checks.text.golden import Template
from tinyvmi_build.checks.text.table import CODE_ARRAYS, JUMP
from tinyvmi_build.profile.encoding import U8s, U16s, U32s

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile

_LINES = 32  # of a page, each with a sum
T = TypeVar("T")


def chosen(golden: ModulesGolden, kernel: KernelProfile, include: Iterable[str]) -> list[ModuleGolden]:
    """Modules of the profile that go into an image: of `include`, those added by hand, and their needs."""
    present = set(golden.verified)
    queue = [*wanted(present, include), *golden.extra]
    found: dict[str, ModuleGolden] = {}
    while queue:
        name = queue.pop()
        if name in present and name not in found:
            found[name] = load_module(kernel, name)
            queue += found[name].needs
    return [found[name] for name in sorted(found)]


class _Pool(Generic[T]):
    """Values one behind the other."""

    def __init__(self) -> None:
        self.values: list[T] = []

    def add(self, values: Iterable[T]) -> int:
        at = len(self.values)
        self.values += values
        return at


@dataclass(frozen=True)
class _ShapeRow:
    size: int
    conditions: int  # how many
    at: int  # of its first number


class _Shapes:
    """Shapes of all modules; equal templates stand once."""

    def __init__(self) -> None:
        self.templates: dict[Template, int] = {}
        self.rows: list[_ShapeRow] = []
        self.numbers = _Pool[int]()

    def add(self, module: ModuleGolden) -> int:
        numbers = [self.templates.setdefault(template, len(self.templates)) for template in module.templates]
        at = len(self.rows)
        for shape in module.shapes:
            first = self.numbers.add([*shape.conditions, *(numbers[t] for t in shape.templates)])
            self.rows.append(_ShapeRow(shape.size, len(shape.conditions), first))
        return at


@dataclass(frozen=True)
class _PagesRow:
    """Where an area's tables begin in the arrays."""

    npages: int
    page: int
    index: int
    relocs: int
    order: int = 0


@dataclass(frozen=True)
class _Row:
    """One module: its own values, and where its tables begin in the arrays."""

    module: ModuleGolden
    text: _PagesRow
    rodata: _PagesRow
    code: Mapping[str, int]
    needs: int
    regions: int
    classes: int
    witnesses: int


class _Tables:
    """The arrays that all modules share."""

    def __init__(self, hash_name: str) -> None:
        self.hash_name = hash_name
        self.code = {name: _Pool[int]() for name in CODE_ARRAYS}
        self.reloc_index, self.relocs = _Pool[int](), _Pool[int]()
        self.order, self.needs = _Pool[int](), _Pool[int]()
        self.digests, self.sums = _Pool[bytes](), _Pool[bytes]()
        self.jumps = _Pool[tuple[int, ...]]()
        self.regions, self.classes = _Pool[Sequence[int]](), _Pool[Sequence[int]]()
        self.witnesses = _Pool[Sequence[int]]()
        self.shapes = _Shapes()
        self.types = {name: "" for name in CODE_ARRAYS}

    def add(self, module: ModuleGolden, numbers: Mapping[str, int]) -> _Row:
        code: dict[str, int] = {}
        for name in CODE_ARRAYS:
            own = getattr(module.code, name)
            self.types[name] = own.C_TYPE
            code[name] = self.code[name].add(own.values)
        code["jumps"] = self.jumps.add(struct.iter_unpack(JUMP, module.code.jumps.data))
        code["shapes"] = self.shapes.add(module)
        needs = self.needs.add(numbers[other] for other in module.needs)
        regions = self.regions.add((r.start, r.size, r.area, r.module) for r in module.regions)
        classes = self.classes.add(module.classes)
        witnesses = self.witnesses.add(
            (w.region, w.area, w.field, w.offset, w.target) for w in module.witnesses
        )
        text = self._pages(module.text, module.sizes[0], 0)
        order = self.order.add(module.order.values)
        rodata = self._pages(module.rodata, module.sizes[1], order)
        return _Row(module, text, rodata, code, needs, regions, classes, witnesses)

    def _pages(self, pages: PageTables, size: int, order: int) -> _PagesRow:
        digests = getattr(pages, self.hash_name)
        row = _PagesRow(
            npages=size // PAGE,
            page=self.digests.add(digests.rows(32)),
            index=self.reloc_index.add(pages.reloc_index.values),
            relocs=self.relocs.add(pages.relocs.data),
            order=order,
        )
        self.sums.add(pages.sums.rows(_LINES))
        return row

    def arrays(self) -> Arrays:
        found: Arrays = {name: (self.types[name], pool.values) for name, pool in self.code.items()}
        return found | {
            "reloc_index": (U32s.C_TYPE, self.reloc_index.values),
            "relocs": (U8s.C_TYPE, self.relocs.values),
            "order": (U16s.C_TYPE, self.order.values),
            "needs": (U16s.C_TYPE, self.needs.values),
            "shape_numbers": (U16s.C_TYPE, self.shapes.numbers.values),
        }


def table(golden: ModulesGolden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    modules = chosen(golden, kernel, config.checks.of(ModulesSettings).include)
    numbers = {module.name: number for number, module in enumerate(modules)}
    tables = _Tables(config.golden.hash)
    rows = [tables.add(module, numbers) for module in modules]
    layout = golden.split or golden.core
    assert layout is not None
    struct_values = [*numbers_of(golden), *numbers_of(layout), ("split", int(golden.split is not None))]
    return {
        "modules": rows,
        "arrays": tables.arrays(),
        "tables": {"digests": (32, tables.digests.values), "sums": (_LINES, tables.sums.values)},
        "jumps": tables.jumps.values,
        "templates": list(tables.shapes.templates),
        "shapes": tables.shapes.rows,
        "regions": tables.regions.values,
        "classes": tables.classes.values,
        "witnesses": tables.witnesses.values,
        "jump_keys": max((len(module.code.jump_keys) for module in modules), default=0),
        "call_keys": max((len(module.code.call_keys) for module in modules), default=0),
        "struct": sorted(struct_values),
        "memory": golden.split.memory if golden.split else [0],
    }
