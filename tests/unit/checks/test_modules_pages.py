"""How a module's relocations are packed: what the monitor unpacks is what was put in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.unit.checks import small_modules
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.modules.link import SIZES, Field, Record
from tinyvmi_build.checks.modules.module import ModuleGolden
from tinyvmi_build.checks.modules.pages import CLASSES_MAX, Classes, by_page, entries
from tinyvmi_build.profile.encoding import Blob, U16s, U32s, unpack

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
    with pytest.raises(UnsupportedError, match="classes"):
        by_page(records, START, 1, {})


def test_a_packed_module_comes_back() -> None:
    module = small_modules.module()
    assert unpack(ModuleGolden, module.packed()) == module


def test_the_nearest_function() -> None:
    module = small_modules.module()
    code = replace(module.code, function_index=U32s.of([0, 2, 3]), functions=U16s.of([0x10, 0x40, 0x20]))
    module = replace(module, code=code, names=Blob(b"first\nsecond\nthird"))
    assert module.function_at(0xF) is None
    assert module.function_at(0x10) == ("first", 0)
    assert module.function_at(0x1000) == ("second", 0xFC0)
    assert module.function_at(0x1020 + 7) == ("third", 7)
