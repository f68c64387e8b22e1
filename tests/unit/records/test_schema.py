"""The description of the records and the JSON Schema made of it agree, on good values and on odd ones."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from tests.support.generated import hold_equal
from tests.unit.records import stream
from tinyvmi_build.records import fields, format, reference

VALIDATOR = jsonschema.Draft202012Validator(reference.schema())

SAMPLES: list[dict[str, Any]] = [
    stream.hello(),
    stream.kernel() | {"pv": 1},
    stream.check("idt", "unverifiable", reason="page not present", notices=3),
    stream.finding("idt", note="torn", target="0xffffffff82000008", owner="bpf_prog"),
    stream.notice("text", note="allowed", owner="probe"),
    {"type": "cost", "scan": 1, "check": "idt", "took_ns": 9, "map_ns": 3, "map_pages": 2, "map_calls": 1}
    | {"incremental": 1, "read_ns": 1, "sites_ns": 1, "hash_ns": 1, "report_ns": 1},
    stream.beat(3),
    {"type": "tracking", "frames": 0, "reason": "the hypervisor does not allow it"},
    {"type": "memory", "cached": 2500, "digested": 921},
    {"type": "waiting", "reason": "still booting", "banner": "Linux version 0.01"},
    {"type": "error", "where": "privilege", "what": "EPERM"},
    stream.bye(3, "tampered"),
]
ODD: list[Any] = [None, True, -1, 0, 1, 1.5, 4, "", "intact", "0x12", "ab" * 20, [], {}, [{}]]


def test_the_files_are_what_the_description_gives(pytestconfig: pytest.Config) -> None:
    jsonschema.Draft202012Validator.check_schema(reference.schema())
    hold_equal(pytestconfig, "tinyvmi_build/records/records.schema.json", reference.schema_text())
    hold_equal(pytestconfig, "docs/reference/records.md", reference.page())


def test_there_is_a_sample_of_each_type_with_each_field() -> None:
    assert [sample["type"] for sample in SAMPLES] == [described.type for described in format.TYPES]
    for sample, described in zip(SAMPLES, format.TYPES, strict=True):
        assert sample.keys() - {"type"} == {field.name for field in fields.fields_of(described)}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: str(s["type"]))
def test_description_and_schema_agree_on_good_and_odd_values(sample: dict[str, Any]) -> None:
    VALIDATOR.validate(sample)
    assert format.shape_error(sample) is None
    for name in sample.keys() - {"type"}:
        for value in ODD:
            changed = copy.deepcopy(sample) | {name: value}
            assert (format.shape_error(changed) is None) == VALIDATOR.is_valid(changed), (name, value)
        missing = {key: value for key, value in sample.items() if key != name}
        assert (format.shape_error(missing) is None) == VALIDATOR.is_valid(missing), name


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: str(s["type"]))
def test_a_record_is_read_whole(sample: dict[str, Any]) -> None:
    data = format.read(sample)
    assert isinstance(data, format.BY_NAME[sample["type"]])
    for name, value in sample.items():
        if name not in ("type", "profiles"):
            assert getattr(data, name) == value
    assert format.read({"type": "weather"}) is None
