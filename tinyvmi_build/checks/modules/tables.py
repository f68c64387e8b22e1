"""One module's tables as the monitor wants them (minios_app/checks/modules/golden.h, struct tv_module)."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from tinyvmi_build.checks.lib.digest_range import index_of
from tinyvmi_build.checks.lib.digests import ALGORITHMS
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.modules.layout import INIT, PAGE, Area
from tinyvmi_build.checks.modules.link import KERNEL, SIZES, Linked, Module, ModuleImage, Record
from tinyvmi_build.checks.modules.module import ModuleGolden, PageTables, RegionRow, Witness
from tinyvmi_build.checks.modules.pages import Classes, by_page, split
from tinyvmi_build.checks.modules.sites import known_sections, module_regions
from tinyvmi_build.checks.text.calls import Counted
from tinyvmi_build.checks.text.code import Code
from tinyvmi_build.checks.text.golden import ADD32, ADD64, ADDR32, ADDR64, Template
from tinyvmi_build.checks.text.series import Series
from tinyvmi_build.checks.text.tables import NO_ENTRY
from tinyvmi_build.profile.encoding import Blob, U16s

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.regions import Region


def make(module: Module, series: Series, pointers: list[int]) -> ModuleGolden:
    """The golden values of `module`; UnsupportedError if it has what this generator does not know."""
    known_sections(module.ko)
    image = ModuleImage(module)
    regions = module_regions(image, series, pointers)
    functions = {
        va: name
        for name, va, function in image.own_symbols
        if function and image.text <= va < image.etext and not name.startswith(NO_ENTRY)
    }
    code = Code(regions, sorted(functions))
    classes: Classes = {}
    text = image.linked[Area.TEXT]
    code_tables = code.tables(Counted(code, text.data))
    outside = _outside(text.records, regions.regions)
    text_pages = pages_of(code.blank(text.data), outside, image.text, classes)
    orders = [image.linked[Area.RODATA], module.linked(Area.RODATA, init_first=True)]
    rodata, order = distinct_pages(orders, module.layout.start[Area.RODATA], classes)
    shapes, templates = code.shapes()
    return ModuleGolden(
        name=module.name,
        build_id=module.ko.build_id[2] if module.ko.build_id else b"",
        build_id_at=_build_id_at(module),
        needs=tuple(other.name for other in module.needs),
        sizes=tuple(module.layout.size[area] for area in Area),
        starts=tuple(code.off(module.layout.start[area]) for area in Area),
        regions=tuple(RegionRow(code.off(r.start), r.size, int(r.area), r.module) for r in module.regions),
        classes=tuple((int(field), region) for field, region in classes),
        witnesses=tuple(_witnesses(module, [Linked(text.data, outside), *orders], code)),
        shapes=shapes,
        templates=tuple(_by_target(template, code) for template in templates),
        counts=code.counts(),
        code=code_tables,
        text=page_tables(text_pages),
        rodata=page_tables(rodata),
        order=U16s.of(order),
        content=Blob(text.data),
        pages=Blob(b"".join(page.content for page in rodata)),
        names=Blob("\n".join(functions[va] for va in code.functions).encode("ascii", "backslashreplace")),
    )


def _by_target(template: Template, code: Code) -> Template:
    """Addresses in an alternative are named by where they lead, which may move by itself."""
    data, fixes = bytearray(template.code), []
    for offset, kind, argument in template.fixes:
        size = {ADD32: 4, ADD64: 8}.get(kind)
        if size is None:
            fixes.append((offset, kind, argument))
            continue
        value = int.from_bytes(data[offset : offset + size], "little", signed=True)
        data[offset : offset + size] = bytes(size)
        fixes.append((offset, ADDR32 if size == 4 else ADDR64, code.off(value)))
    return Template(bytes(data), tuple(fixes))


def _build_id_at(module: Module) -> int:
    """Where in RODATA the build-id is."""
    if module.ko.build_id is None:
        raise UnsupportedError("it has no build-id")
    section, at, _ = module.ko.build_id
    return module.layout.section[section.index] + at - module.layout.start[Area.RODATA]


def _outside(records: list[Record], regions: list[Region]) -> list[Record]:
    """The records that are not part of a site."""
    starts = [region.va for region in regions]
    found = []
    for record in records:
        size = SIZES[record.field]
        i = bisect_right(starts, record.va + size - 1) - 1
        if i >= 0 and starts[i] + regions[i].size > record.va:
            region = regions[i]
            if not region.va <= record.va < record.va + size <= region.va + region.size:
                raise UnsupportedError(f"the relocation at {record.va:#x} lies only in part in a patch site")
            continue
        found.append(record)
    return found


class Page(NamedTuple):
    """A page's bytes before relocation, the sums of its lines, and the groups of its records."""

    content: bytes
    sums: bytes
    groups: bytes


def pages_of(data: bytes, records: list[Record], start: int, classes: Classes) -> list[Page]:
    pages, sums = split(data)
    groups = by_page(records, start, len(data) // PAGE, classes)
    return [Page(*page) for page in zip(pages, sums, groups, strict=True)]


def page_tables(pages: list[Page]) -> PageTables:
    digests = {
        name: Blob(b"".join(digest(page.content) for page in pages)) for name, digest in ALGORITHMS.items()
    }
    return PageTables(
        **digests,
        sums=Blob(b"".join(page.sums for page in pages)),
        reloc_index=index_of([page.groups for page in pages]),
        relocs=Blob(b"".join(page.groups for page in pages)),
    )


def distinct_pages(variants: list[Linked], start: int, classes: Classes) -> tuple[list[Page], list[int]]:
    """Pages that the two orders of the sorted tables share stand once; the numbers of each variant's."""
    numbers: dict[Page, int] = {}
    order: list[int] = []
    for linked in variants:
        for page in pages_of(linked.data, linked.records, start, classes):
            order.append(numbers.setdefault(page, len(numbers)))
    return list(numbers), order


def _witnesses(module: Module, linked: list[Linked], code: Code) -> list[Witness]:
    """Where to read at which address freed init memory was.

    One for each region and each order of the sorted tables: text's, else rodata's
    in the first order; then rodata's in the second.
    """
    starts = [module.layout.start[a] for a in (Area.TEXT, Area.RODATA, Area.RODATA)]
    areas = (Area.TEXT, Area.RODATA, Area.RODATA)
    found: list[Witness] = []
    for number, region in enumerate(module.regions, KERNEL + 2):
        if region.module or region.area not in INIT:
            continue
        for variant in (0, 1):
            for which in (0, 1 + variant):
                record = next((r for r in linked[which].records if r.region == number), None)
                if record is not None:
                    size = SIZES[record.field]
                    at = record.va - starts[which]
                    value = int.from_bytes(linked[which].data[at : at + size], "little")
                    target = value + (record.va if record.field >= 2 else 0)
                    found.append(Witness(number, int(areas[which]), int(record.field), at, code.off(target)))
                    break
    return found
