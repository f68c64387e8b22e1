"""Untouched kernels are intact, at whatever address KASLR put them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from tests.dump.conftest import Memory, Subject, run_checker
from tinyvmi_build import records as verdict
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.config.model import Config

CHECKS = Config().checks_made  # raw memory has no registers


def test_every_check_is_intact(any_subject: Subject) -> None:
    checked = run_checker(any_subject.checker, any_subject.dump)
    assert checked.exit == 0, checked.records
    assert list(checked.collector.checks) == list(CHECKS)
    units = {name: state.items for name, state in checked.collector.checks.items()}
    assert units["rodata"] == (any_subject.profile.golden(RodataGolden).size + 4095) // 4096
    assert units["idt"] == 257  # 256 gates and the alias
    assert units["syscall-table"] > 400
    assert units["policy-globals"] == 2


def test_records_follow_the_schema(memory: Memory) -> None:
    schema = json.loads((Path(verdict.__file__).parent / "records.schema.json").read_text())
    records = memory.check().records
    assert len(records) >= 4 + len(CHECKS)
    for record in records:
        jsonschema.validate(record, schema)


def test_kaslr_was_active(any_subject: Subject) -> None:
    """Else the relocations would not have been tried."""
    kernel = run_checker(any_subject.checker, any_subject.dump).collector.kernel
    assert kernel is not None
    assert int(kernel["delta"], 16) != 0
    assert int(kernel["text_pa"], 16) != any_subject.profile.physical_start
