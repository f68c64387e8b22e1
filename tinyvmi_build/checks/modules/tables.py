"""One module's tables as the monitor wants them (minios_app/include/tinyvmi/profile.h, struct tv_module)."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib import digests
from tinyvmi_build.checks.lib.unknown import Unknown
from tinyvmi_build.checks.modules.layout import INIT, PAGE, Area
from tinyvmi_build.checks.modules.link import KERNEL, SIZES, Linked, Module, ModuleImage, Record
from tinyvmi_build.checks.modules.packed import packed
from tinyvmi_build.checks.modules.pages import Classes, by_page, split
from tinyvmi_build.checks.modules.sites import known_sections, module_regions
from tinyvmi_build.checks.text.calls import Counted
from tinyvmi_build.checks.text.code import Code, u16, u32
from tinyvmi_build.checks.text.series import Series
from tinyvmi_build.checks.text.shapes import ADD32, ADD64, ADDR32, ADDR64
from tinyvmi_build.checks.text.tables import NO_ENTRY

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.regions import Region


def make(module: Module, series: Series, pointers: list[int]) -> bytes:
    """The packed tables of `module`; Unknown if it has what this generator does not know."""
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
    counted = Counted(code, text.data)
    places = code.sites(counted.pads) | counted.tables()
    tables = {f"text.{name}": data for name, data in places.items()}
    outside = _outside(text.records, regions.regions)
    tables |= _pages("text", code.blank(text.data), outside, image.text, classes)
    rodata = [image.linked[Area.RODATA], module.linked(Area.RODATA, init_first=True)]
    start = module.layout.start[Area.RODATA]
    tables |= _rodata(rodata, start, classes)
    # For people alone: the monitor knows no names, and these bytes by their digests.
    tables["text.code"] = text.data
    tables["names"] = "\n".join(functions[va] for va in code.functions).encode("ascii", "backslashreplace")
    shapes, templates = code.shapes()
    templates = [_by_target(template, code) for template in templates]
    golden = {
        "name": module.name,
        "build_id": module.ko.build_id[2].hex() if module.ko.build_id else "",
        "build_id_at": _build_id_at(module),
        "needs": [other.name for other in module.needs],
        "sizes": {area.name: module.layout.size[area] for area in Area},
        "starts": {area.name: code.off(module.layout.start[area]) for area in Area},
        "regions": [[code.off(r.start), r.size, int(r.area), r.module] for r in module.regions],
        "classes": [[int(field), region] for field, region in classes],
        "witnesses": _witnesses(module, [Linked(text.data, outside), *rodata], code),
        "shapes": shapes,
        "templates": templates,
        "counts": code.counts(),
    }
    return packed(golden, tables)


def _by_target(template: dict[str, Any], code: Code) -> dict[str, Any]:
    """Addresses in an alternative are named by where they lead, which may move by itself."""
    data, fixes = bytearray.fromhex(template["code"]), []
    for offset, kind, argument in template["fixes"]:
        size = {ADD32: 4, ADD64: 8}.get(kind)
        if size is None:
            fixes.append([offset, kind, argument])
            continue
        value = int.from_bytes(data[offset : offset + size], "little", signed=True)
        data[offset : offset + size] = bytes(size)
        fixes.append([offset, ADDR32 if size == 4 else ADDR64, code.off(value)])
    return {"code": data.hex(), "fixes": fixes}


def _build_id_at(module: Module) -> int:
    """Where in RODATA the build-id is."""
    if module.ko.build_id is None:
        raise Unknown("it has no build-id")
    section, at, _ = module.ko.build_id
    return module.layout.section[section.index] + at - module.layout.start[Area.RODATA]


def _outside(records: list[Record], regions: list[Region]) -> list[Record]:
    """The records that are not part of a place."""
    starts = [region.va for region in regions]
    found = []
    for record in records:
        size = SIZES[record.field]
        i = bisect_right(starts, record.va + size - 1) - 1
        if i >= 0 and starts[i] + regions[i].size > record.va:
            region = regions[i]
            if not region.va <= record.va < record.va + size <= region.va + region.size:
                raise Unknown(f"the relocation at {record.va:#x} lies only in part in a patch site")
            continue
        found.append(record)
    return found


def _pages(name: str, data: bytes, records: list[Record], start: int, classes: Classes) -> dict[str, bytes]:
    pages, sums = split(data)
    groups = by_page(records, start, len(data) // PAGE, classes)
    return _tables(name, list(zip(pages, sums, groups, strict=True)))


def _tables(name: str, pages: list[tuple[bytes, bytes, bytes]]) -> dict[str, bytes]:
    """`pages`: bytes, sums of lines, groups of records."""
    index = [0]
    for _, _, groups in pages:
        index.append(index[-1] + len(groups))
    return {
        **digests.tables(name, (page[0] for page in pages)),
        f"{name}.sums": b"".join(page[1] for page in pages),
        f"{name}.reloc_index": u32(index),
        f"{name}.relocs": b"".join(page[2] for page in pages),
    }


def _rodata(variants: list[Linked], start: int, classes: Classes) -> dict[str, bytes]:
    """Pages that the two orders of the sorted tables share stand once; `order` numbers each variant's."""
    numbers: dict[tuple[bytes, bytes, bytes], int] = {}
    order: list[int] = []
    for linked in variants:
        pages, sums = split(linked.data)
        groups = by_page(linked.records, start, len(linked.data) // PAGE, classes)
        for page in zip(pages, sums, groups, strict=True):
            order.append(numbers.setdefault(page, len(numbers)))
    # The pages' bytes are for people alone, as `text.code` is.
    content = b"".join(page[0] for page in numbers)
    return _tables("rodata", list(numbers)) | {"rodata.order": u16(order), "rodata.pages": content}


def _witnesses(module: Module, linked: list[Linked], code: Code) -> list[list[int]]:
    """Where to read at which address freed init memory was: [region, area, offset, field, target].

    One for each region and each order of the sorted tables: text's, else rodata's
    in the first order; then rodata's in the second.
    """
    starts = [module.layout.start[a] for a in (Area.TEXT, Area.RODATA, Area.RODATA)]
    areas = (Area.TEXT, Area.RODATA, Area.RODATA)
    found: list[list[int]] = []
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
                    found.append([number, areas[which], at, int(record.field), code.off(target)])
                    break
    return found
