"""One made-up module, in the form in which a profile has it."""

from __future__ import annotations

from typing import Any

from tinyvmi_build.checks.lib import digests
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import Field, Record
from tinyvmi_build.checks.modules.packed import packed
from tinyvmi_build.checks.modules.pages import Classes, by_page, split
from tinyvmi_build.checks.text.code import u16, u32

_STARTS = {Area.TEXT: 0x3F000000, Area.RODATA: 0x3F001000, Area.DATA: 0x3F002000, Area.INIT_TEXT: 0x3F020000}


def golden() -> dict[str, Any]:
    return {
        "head": 0x2000000,
        "next": 8,
        "name": 24,
        "state": 0,
        "percpu": 400,
        "split": True,
        "layout": 320,
        "base": 0,
        "size": 8,
        "memory_size": 72,
        "memory": [0, 2, 3, 1, 4, 6, 5],
        "list": ["small"],
        "extra": ["small"],
        "available": ["small", "other"],
        "unverifiable": {},
    }


def blobs() -> dict[str, bytes]:
    classes: Classes = {}
    text, rodata = bytes(range(256)) * 16, bytes(4096)
    code = [Record(0xFFFFFFFFC0000000 + at, Field.PC32, 0) for at in (0x10, 0x20, 0x400)]
    table = [Record(0xFFFFFFFFC0001000 + 4 * n, Field.PC32, 3) for n in range(20)]
    tables = {
        "text.site_index": u32([0, 2]),
        "text.sites": u16([0 << 12 | 0x40, 7 << 12 | 0x80]),
        "text.args": u16([0]),
        "text.jumps": bytes.fromhex("400000 3f 0000 05 01"),
        "text.jump_keys": u32([0x2000100]),
        "text.call_keys": b"",
        "text.call_index": u32([0, 2]),
        "text.call_gaps": bytes([0x30, 0x70]),
        "text.function_index": u32([0, 1]),
        "text.functions": u16([0x30]),
        "names": b"small_init",
    }
    for name, data, records, start in (
        ("text", text, code, 0xFFFFFFFFC0000000),
        ("rodata", rodata, table, 0xFFFFFFFFC0001000),
    ):
        pages, sums = split(data)
        (groups,) = by_page(records, start, 1, classes)
        tables |= {
            **digests.tables(name, pages),
            f"{name}.sums": sums[0],
            f"{name}.reloc_index": u32([0, len(groups)]),
            f"{name}.relocs": groups,
        }
    tables["rodata.order"] = u16([0, 0])
    tables |= {"text.code": text, "rodata.pages": rodata}  # not for the monitor
    module = {
        "name": "small",
        "build_id": "11" * 20,
        "build_id_at": 16,
        "needs": [],
        "sizes": {area.name: 4096 * (area in _STARTS) for area in Area},
        "starts": {area.name: _STARTS.get(area, 0) for area in Area},
        "regions": [[_STARTS[area], 4096, int(area), 0] for area in sorted(_STARTS)],
        "classes": [[int(field), region] for field, region in classes],
        "witnesses": [[5, 1, 0x100, 2, 0x3F020000], [5, 1, 0x100, 2, 0x3F020000]],
        "shapes": [{"size": 5, "conditions": [2], "templates": [0, 1]}],
        "templates": [
            {"code": "0f1f440000", "fixes": []},
            {"code": "e800000000", "fixes": [[1, 0, 0x1000]]},
        ],
        "counts": {"alternative": 1, "jump-label": 1},
    }
    return {"modules/small": packed(module, tables)}
