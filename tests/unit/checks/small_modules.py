"""One made-up module, in the form in which a profile has it."""

from __future__ import annotations

from tinyvmi_build.checks.modules.golden import CoreLayout, ModulesGolden, SplitLayout
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import Field, Record
from tinyvmi_build.checks.modules.module import ModuleGolden, RegionRow, Witness
from tinyvmi_build.checks.modules.pages import Classes
from tinyvmi_build.checks.modules.tables import page_tables, pages_of
from tinyvmi_build.checks.text.golden import CodeTables, NumberedShape, Template
from tinyvmi_build.profile.encoding import Blob, U8s, U16s, U32s

_STARTS = {Area.TEXT: 0x3F000000, Area.RODATA: 0x3F001000, Area.DATA: 0x3F002000, Area.INIT_TEXT: 0x3F020000}


def golden(split: bool = True) -> ModulesGolden:
    return ModulesGolden(
        head=0x2000000,
        next=8,
        name=24,
        state=0,
        percpu=400,
        split=SplitLayout(320, 0, 8, 72, (0, 2, 3, 1, 4, 6, 5)) if split else None,
        core=None if split else CoreLayout(320, 0, 8, 12, 16, 20),
        verified=("small",),
        extra=("small",),
        available=("small", "other"),
    )


def module() -> ModuleGolden:
    classes: Classes = {}
    text, rodata = bytes(range(256)) * 16, bytes(4096)
    code = [Record(0xFFFFFFFFC0000000 + at, Field.PC32, 0) for at in (0x10, 0x20, 0x400)]
    table = [Record(0xFFFFFFFFC0001000 + 4 * n, Field.PC32, 3) for n in range(20)]
    text_pages = page_tables(pages_of(text, code, 0xFFFFFFFFC0000000, classes))
    rodata_pages = page_tables(pages_of(rodata, table, 0xFFFFFFFFC0001000, classes))
    return ModuleGolden(
        name="small",
        build_id=b"\x11" * 20,
        build_id_at=16,
        needs=(),
        sizes=tuple(4096 * (area in _STARTS) for area in Area),
        starts=tuple(_STARTS.get(area, 0) for area in Area),
        regions=tuple(RegionRow(_STARTS[area], 4096, int(area), 0) for area in sorted(_STARTS)),
        classes=tuple((int(field), region) for field, region in classes),
        witnesses=(Witness(5, 1, 2, 0x100, 0x3F020000),) * 2,
        shapes=(NumberedShape(5, (2,), (0, 1)),),
        templates=(
            Template(bytes.fromhex("0f1f440000"), ()),
            Template(bytes.fromhex("e800000000"), ((1, 0, 0x1000),)),
        ),
        counts={"alternative": 1, "jump-label": 1},
        code=CodeTables(
            site_index=U32s.of([0, 2]),
            sites=U16s.of([0 << 12 | 0x40, 7 << 12 | 0x80]),
            args=U16s.of([0]),
            jumps=Blob(bytes.fromhex("400000 3f 0000 05 01")),
            jump_keys=U32s.of([0x2000100]),
            call_keys=U32s.of([]),
            call_index=U32s.of([0, 2]),
            call_gaps=U8s(bytes([0x30, 0x70])),
            function_index=U32s.of([0, 1]),
            functions=U16s.of([0x30]),
        ),
        text=text_pages,
        rodata=rodata_pages,
        order=U16s.of([0, 0]),
        content=Blob(text),
        pages=Blob(rodata),
        names=Blob(b"small_init"),
    )
