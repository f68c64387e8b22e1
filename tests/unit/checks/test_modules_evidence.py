"""What a changed line of a module should be, of a module made by hand."""

from __future__ import annotations

import io
import json
import random
import struct
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.checks import small_modules, small_text
from tests.unit.checks.fake import TEXT as KERNEL_TEXT
from tests.unit.records.stream import BUILD_ID, bye, finding, hello, kernel, lines
from tinyvmi_build.checks.modules.evidence import LoadedModule
from tinyvmi_build.checks.modules.golden import ModulesGolden
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.link import KERNEL, SIZES, Field, Linked, Record
from tinyvmi_build.checks.modules.module import ModuleGolden, RegionRow
from tinyvmi_build.checks.modules.pages import Classes
from tinyvmi_build.checks.modules.tables import distinct_pages, page_tables, pages_of
from tinyvmi_build.checks.text.golden import CodeTables, TextGolden
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.profile.encoding import Blob, U8s, U16s, U32s
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.report.json_lines import JsonLines

OFFSETS = {Area.TEXT: 0x3F000000, Area.RODATA: 0x3F010000, Area.DATA: 0x3F020000}
LINK = {area: KERNEL_TEXT + offset for area, offset in OFFSETS.items()}
#: By number, from 2 on: its code, read-only data and data, and the code of a module that it needs.
REGIONS = [RegionRow(offset, 0x2000, int(area), 0) for area, offset in OFFSETS.items()]
REGIONS.append(RegionRow(0x3F040000, 0x1000, 0, 1))
DELTA = 0x12400000
RUNNING = {Area.TEXT: 0xFFFFFFFFC0A53000, Area.RODATA: 0xFFFFFFFFC0891000, Area.DATA: 0xFFFFFFFFC0C07000}
OTHER = 0xFFFFFFFFC0700000
LINE, PAGE = 128, 4096
ENTRY = 0x90  # of its function, with padding in front
POINTERS = PAGE + 0x480  # a line of pointers to its data, in read-only data
PAD = 9  # bytes, see small_text


class Mod:
    """Bytes and records, and what they are in a guest."""

    def __init__(self, split: bool) -> None:
        self.running = dict(RUNNING)
        if not split:
            for area in (Area.RODATA, Area.DATA):
                self.running[area] = RUNNING[Area.TEXT] + OFFSETS[area] - OFFSETS[Area.TEXT]
        self.split = split
        rng = random.Random(1)
        text = bytearray(PAGE)
        text[:ENTRY] = b"\x90" * ENTRY
        self.code: list[Record] = []
        at = ENTRY
        for opcode, field, region, target in (
            ("e8", Field.PC32, KERNEL, KERNEL_TEXT + 0x100),
            ("48c7c7", Field.ABS32, 3, LINK[Area.RODATA] + 0x123),
            ("b8", None, 0, 0x11223344),
            ("48c7c6", Field.ABS32, 2, LINK[Area.TEXT] + ENTRY),
            ("e8", Field.PC32, 5, KERNEL_TEXT + 0x3F040080),
        ):
            raw = bytes.fromhex(opcode)
            text[at : at + len(raw)] = raw
            at += len(raw)
            self._put(text, self.code, LINK[Area.TEXT], at, field, region, target)
            at += 4
        text[at] = 0xC3
        self.end = at + 1
        self.text = bytes(text)
        self.orders: list[tuple[bytes, list[Record]]] = []
        first, table = rng.randbytes(2 * PAGE), [rng.randrange(64, PAGE) for _ in range(64)]
        for turn in (0, 1):  # the second begins with what the first ends with
            data, records = bytearray(first), list[Record]()
            data[PAGE : PAGE + 1024] = bytes(1024)
            for n in range(64):
                target = LINK[Area.TEXT] + table[(n + 8 * turn) % 64]
                self._put(data, records, LINK[Area.RODATA], PAGE + 4 * n, Field.PC32, 2, target)
            self._put(data, records, LINK[Area.RODATA], 0x88, Field.ABS64, 4, LINK[Area.DATA] + 0x40)
            for at in range(POINTERS, POINTERS + LINE, 8):
                self._put(data, records, LINK[Area.RODATA], at, Field.ABS64, 4, LINK[Area.DATA] + at % 0x230)
            self._put(data, records, LINK[Area.RODATA], 0x90, Field.ABS64, KERNEL, KERNEL_TEXT + 0x100)
            self._put(data, records, LINK[Area.RODATA], 0x98, Field.ABS64, 2, LINK[Area.TEXT] + ENTRY)
            # Over the border of two lines, and of two pages.
            self._put(data, records, LINK[Area.RODATA], 0x1FC, Field.ABS64, 2, LINK[Area.TEXT] + ENTRY)
            self._put(data, records, LINK[Area.RODATA], PAGE - 4, Field.ABS64, KERNEL, KERNEL_TEXT + 0x10)
            self.orders.append((bytes(data), sorted(records)))

    def _put(
        self,
        data: bytearray,
        records: list[Record],
        base: int,
        at: int,
        field: Field | None,
        region: int,
        target: int,
    ) -> None:
        if field is None:
            struct.pack_into("<I", data, at, target)
            return
        value = target - (base + at if field == Field.PC32 else 0)
        size = SIZES[field]
        data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        # Before Linux 6.4 all of a module's own is one region.
        records.append(Record(base + at, field, 2 if region in (3, 4) and not self.split else region))

    def in_guest(self, area: Area, order: int = 0) -> bytearray:
        """As the loader makes it."""
        plain, records = (self.text, self.code) if area == Area.TEXT else self.orders[order]
        data = bytearray(plain)
        moved = {
            KERNEL: DELTA,
            2: self.running[Area.TEXT] - LINK[Area.TEXT],
            5: OTHER - KERNEL_TEXT - 0x3F040000,
        }
        moved |= {number: self.running[a] - LINK[a] for number, a in ((3, Area.RODATA), (4, Area.DATA))}
        for va, field, region in records:
            at, size = va - LINK[area], SIZES[field]
            value = int.from_bytes(data[at : at + size], "little") + moved[region]
            value -= self.running[area] - LINK[area] if field == Field.PC32 else 0
            data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        return data

    def golden(self) -> ModuleGolden:
        classes: Classes = {}
        text = page_tables(pages_of(self.text, self.code, LINK[Area.TEXT], classes))
        orders = [Linked(*order) for order in self.orders]
        rodata, order = distinct_pages(orders, LINK[Area.RODATA], classes)
        regions = REGIONS if self.split else [RegionRow(OFFSETS[Area.TEXT], 0x22000, 0, 0), *REGIONS[1:]]
        return replace(
            small_modules.module(),
            sizes=tuple({Area.TEXT: PAGE, Area.RODATA: 2 * PAGE}.get(a, 0) for a in Area),
            starts=tuple(OFFSETS.get(a, 0) for a in Area),
            regions=tuple(regions),
            classes=tuple((int(field), region) for field, region in classes),
            shapes=(),
            templates=(),
            code=CodeTables(
                site_index=U32s.of([0, 1]),
                sites=U16s.of([Kind.RETURN << 12 | 0xE0]),
                args=U16s.of([]),
                jumps=Blob(b""),
                jump_keys=U32s.of([]),
                call_keys=U32s.of([]),
                call_index=U32s.of([0, 1]),
                call_gaps=U8s(bytes([ENTRY + 16])),
                function_index=U32s.of([0, 1]),
                functions=U16s.of([1 << 12 | ENTRY]),
            ),
            text=text,
            rodata=page_tables(rodata),
            order=U16s.of(order),
            content=Blob(self.text),
            pages=Blob(b"".join(page.content for page in rodata)),
            names=Blob(b"small_read"),
        )


class Profile:
    symbols: Any = None
    sections = ()

    def __init__(self, mod: Mod):
        self._values = {
            TextGolden: small_text.golden(),
            ModulesGolden: small_modules.golden(mod.split),
        }
        self.module = mod.golden()

    def values(self, kind: type[Any]) -> Any:
        return self._values[kind]

    def blob(self, name: str) -> bytes:
        assert name == "modules/small"
        return self.module.packed()

    def by_build_id(self, build_id: str) -> Profile:
        assert build_id == BUILD_ID
        return self


@pytest.fixture(params=[True, False], ids=["split", "whole"])
def mod(request: pytest.FixtureRequest) -> Mod:
    return Mod(request.param)


def loaded(mod: Mod) -> LoadedModule:
    return LoadedModule(Profile(mod), "small", RUNNING[Area.TEXT], DELTA)


def code(mod: Mod, memory: bytes, changes: dict[int, int]):  # type: ignore[no-untyped-def]
    """What is known of the line at 0x80 with `changes` (offset → what is flipped) in it."""
    line = bytearray(memory[LINE : 2 * LINE])
    for at, flipped in changes.items():
        line[at - LINE] ^= flipped
    return loaded(mod).code_change(RUNNING[Area.TEXT] + LINE, bytes(line))


CALL, LEA, MOV, OWN, FOREIGN = ENTRY + 1, ENTRY + 8, ENTRY + 13, ENTRY + 20, ENTRY + 25


@pytest.mark.parametrize(
    "at, first, size",
    [(CALL, CALL - 1, 5), (MOV + 2, MOV - 1, 5), (OWN, OWN - 3, 7)],
    ids=["call", "mov", "own"],
)
def test_a_whole_instruction_as_it_was(mod: Mod, at: int, first: int, size: int) -> None:
    memory = mod.in_guest(Area.TEXT)
    changed = code(mod, memory, {at: 0x55})
    assert changed.va == RUNNING[Area.TEXT] + first and changed.expected == memory[first : first + size]
    assert changed.actual[at - first] == memory[at] ^ 0x55 and not changed.cut
    assert loaded(mod).name(changed.va) == f"small:small_read+{first - ENTRY:#x}"


def test_what_counts_from_unknown_memory_is_left_as_it_is(mod: Mod) -> None:
    """It alone is not reported; beside another change it is the same on both sides."""
    memory = mod.in_guest(Area.TEXT)
    assert code(mod, memory, {FOREIGN: 1}) is None
    both = code(mod, memory, {FOREIGN: 1, MOV: 1})
    assert both.expected[0] == 0xB8 and both.expected[1] == memory[MOV]
    assert both.expected == memory[MOV - 1 : MOV + 4] and len(both.actual) == 5
    own = code(mod, memory, {LEA: 1})  # before Linux 6.4 its read-only data is where its code tells
    assert (own is None) == mod.split
    if own:
        assert own.expected == memory[LEA - 3 : LEA + 4]


def test_a_patch_site_is_compared_on_its_own(mod: Mod) -> None:
    memory = mod.in_guest(Area.TEXT)
    memory[0xE0:0xE5] = b"\xe9abcd"
    changed = code(mod, memory, {MOV: 1})
    assert changed.expected == memory[MOV - 1 : MOV + 4]
    assert changed.sites == ("return at +0x60",)


def test_counted_calls_and_the_accounting(mod: Mod) -> None:
    memory = mod.in_guest(Area.TEXT)
    target = int.from_bytes(memory[CALL : CALL + 4], "little") - PAD
    memory[CALL : CALL + 4] = (target & 0xFFFFFFFF).to_bytes(4, "little")
    plain = code(mod, memory, {MOV: 1})
    assert plain.expected == memory[MOV - 1 : MOV + 4]
    accounting = bytearray.fromhex("6548c13d0000000005")
    here = RUNNING[Area.TEXT] + ENTRY - PAD - KERNEL_TEXT - DELTA
    struct.pack_into("<I", accounting, 4, 4096 - here - 4 - DELTA & 0xFFFFFFFF)
    memory[ENTRY - PAD : ENTRY] = accounting
    assert code(mod, memory, {MOV: 1}).expected == memory[MOV - 1 : MOV + 4]
    pad = code(mod, memory, {ENTRY - PAD + 3: 1})
    assert pad.expected == accounting and pad.va == RUNNING[Area.TEXT] + ENTRY - PAD
    memory = mod.in_guest(Area.TEXT)
    nop = code(mod, memory, {ENTRY - 2: 1})
    assert (nop.expected, nop.actual) == (b"\x90", b"\x91")


@pytest.mark.parametrize("order", [0, 1])
def test_read_only_data_of_either_order(mod: Mod, order: int) -> None:
    """Every line with one byte changed: all bytes are known but those of pointers to its data."""
    memory = mod.in_guest(Area.RODATA, order)
    rng, module = random.Random(2), loaded(mod)
    for at in range(0, len(memory), LINE):
        line = memory[at : at + LINE]
        wanted = bytes(line)
        where = rng.randrange(LINE)
        line[where] ^= 1 << rng.randrange(8)
        if mod.split and (0x88 <= at + where < 0x90 or at == POINTERS):
            wanted = bytes(line)
        assert module.wanted_data(mod.running[Area.RODATA] + at, bytes(line)) == wanted, hex(at)


def test_a_pointer_to_unknown_memory(mod: Mod) -> None:
    memory = mod.in_guest(Area.RODATA)
    line = memory[0x80:0x100]
    line[8:16] = b"\x41" * 8
    wanted = loaded(mod).wanted_data(mod.running[Area.RODATA] + 0x80, bytes(line))
    assert wanted == (bytes(line) if mod.split else memory[0x80:0x100])


def test_what_fits_nowhere_is_unknown(mod: Mod) -> None:
    """Where the page is known, the line is, too."""
    memory, junk = mod.in_guest(Area.RODATA), random.Random(3).randbytes(LINE)
    wanted = loaded(mod).wanted_data(mod.running[Area.RODATA] + 0x300, junk)
    assert wanted == (None if mod.split else memory[0x300:0x380])


def test_records_that_lead_nowhere(mod: Mod) -> None:
    module, base = loaded(mod), RUNNING[Area.TEXT]
    for va in (base - LINE, base + PAGE, base + PAGE - 1, 0, (1 << 64) - LINE):
        assert module.code_change(va, bytes(LINE)) is None
    assert module.wanted_data(mod.running[Area.RODATA] + PAGE - 1, bytes(LINE)) is None
    if not mod.split:
        assert module.wanted_data(base - PAGE, bytes(LINE)) is None


def test_a_profile_without_the_bytes_tells_nothing(mod: Mod) -> None:
    profile = Profile(mod)
    profile.module = replace(profile.module, content=Blob(b""), pages=Blob(b""))
    module = LoadedModule(profile, "small", RUNNING[Area.TEXT], DELTA)
    assert module.code_change(RUNNING[Area.TEXT], bytes(LINE)) is None
    assert module.wanted_data(RUNNING[Area.RODATA], bytes(LINE)) is None


def test_a_program_reads_what_changed(mod: Mod) -> None:
    """Both kinds of lines, as records come: offsets count from the module's code, whatever lies below it."""
    mod_lines = []
    for kind, area, at in (("text-bytes", Area.TEXT, MOV), ("bytes", Area.RODATA, 0x98)):
        line = bytearray(mod.in_guest(area)[0x80:0x100])
        line[at - 0x80] ^= 0x10
        va = mod.running[area] + 0x80
        mod_lines.append(
            finding(
                "modules", kind=kind, symbol="small", offset=va - RUNNING[Area.TEXT] & (1 << 64) - 1,
                address=f"{va:#018x}", expected="", actual=line.hex(),
            )
        )  # fmt: skip
    stream, collector = io.StringIO(), Collector()
    profile = Profile(mod)
    profile.symbols = Nothing()
    reporter = JsonLines(stream, Explainer(profile))
    for text in lines(hello(), kernel(DELTA), *mod_lines, bye(0)):
        reporter.events(collector.feed(text))
    explained = [json.loads(row).get("explained") for row in stream.getvalue().splitlines()]
    in_code, in_data = (known for known in explained if known)
    memory = mod.in_guest(Area.TEXT)
    assert in_code["expected_bytes"] == memory[MOV - 1 : MOV + 4].hex()
    assert in_code["expected_code"] == ["mov eax, 0x11223344"]
    assert in_code["actual_code"] == ["mov eax, 0x11223354"]
    assert in_code["symbol"] == "small:small_read+0xc"
    assert in_data["expected_bytes"] == mod.in_guest(Area.RODATA)[0x98:0xA0].hex()
    assert in_data["expected"] == "small:small_read+0x0"


class Nothing:
    def nearest(self, va: int) -> None:
        return None
