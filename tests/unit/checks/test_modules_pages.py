"""How a module's relocations are packed: what the monitor unpacks is what was put in."""

from __future__ import annotations

import random
import struct

import pytest

from tinyvmi_build.checks.lib.unknown import Unknown
from tinyvmi_build.checks.modules.link import SIZES, Field, Record
from tinyvmi_build.checks.modules.packed import nearest, packed, unpacked
from tinyvmi_build.checks.modules.pages import CLASSES_MAX, Classes, by_page, entries

BIAS, PAGE, START = 8, 4096, 0xFFFFFFFFC0000000


@pytest.mark.parametrize("seed", range(20))
def test_groups_say_what_they_were_made_of(seed: int) -> None:
    rng = random.Random(seed)
    records = [
        Record(START + rng.randrange(3 * PAGE), rng.choice(list(Field)), rng.randrange(5)) for _ in range(400)
    ]
    row = START + rng.randrange(PAGE)
    records += [Record(row + 4 * n, Field.PC32, 2) for n in range(rng.randrange(1500))]
    records = sorted(set(records))
    classes: Classes = {}
    pages = by_page(records, START, 3, classes)
    for number, groups in enumerate(pages):
        expected = sorted(
            (classes[record.field, record.region], record.va - START - number * PAGE + BIAS)
            for record in records
            if record.va - START < (number + 1) * PAGE
            and record.va + SIZES[record.field] - START > number * PAGE
        )
        assert sorted(entries(groups)) == expected


def test_a_row_costs_six_bytes() -> None:
    classes: Classes = {}
    (groups,) = by_page([Record(START + 4 * n, Field.PC32, 0) for n in range(1000)], START, 1, classes)
    assert len(groups) == 6


def test_too_many_classes_are_named() -> None:
    records = [Record(START + 8 * n, Field.ABS64, n) for n in range(CLASSES_MAX + 1)]
    with pytest.raises(Unknown, match="classes"):
        by_page(records, START, 1, {})


def test_packed_tables_come_back() -> None:
    golden, tables = {"name": "m", "sizes": {"TEXT": 8192}}, {"b": b"12", "a": b"", "c": bytes(5)}
    assert unpacked(packed(golden, tables)) == (golden, tables)


def test_the_nearest_function() -> None:
    tables = {
        "text.function_index": struct.pack("<3I", 0, 2, 3),
        "text.functions": struct.pack("<3H", 0x10, 0x40, 0x20),
        "names": b"first\nsecond\nthird",
    }
    assert nearest(tables, 0xF) is None
    assert nearest(tables, 0x10) == ("first", 0)
    assert nearest(tables, 0x1000) == ("second", 0xFC0)
    assert nearest(tables, 0x1020 + 7) == ("third", 7)
