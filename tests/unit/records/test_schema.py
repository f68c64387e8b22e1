"""The JSON Schema in the package is the definition; the parser's own table must agree with it."""

import copy
import json
from importlib import resources

import jsonschema
import pytest

from tests.unit.records import stream
from tinyvmi_build.records.protocol import OPTIONAL, SHAPES, shape_error

SCHEMA = json.loads(resources.files("tinyvmi_build.records").joinpath("records.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SAMPLES = [
    stream.hello(),
    stream.kernel() | {"pv": 1},
    stream.check("idt", "unverifiable", reason="page not present", notices=2),
    stream.finding("idt", note="seen twice", owner="bpf_trampoline_7", target="0xffffffffc0000000"),
    stream.notice("text", note="allowed"),
    {"type": "cost", "scan": 1, "check": "idt", "took_ns": 9, "map_ns": 3, "map_pages": 2, "map_calls": 1}
    | {"incremental": 1, "read_ns": 1, "sites_ns": 1, "hash_ns": 1, "report_ns": 1},
    stream.beat(1),
    {"type": "tracking", "frames": 0, "reason": "the hypervisor does not allow it"},
    {"type": "memory", "cached": 2500, "digested": 921},
    {"type": "waiting", "reason": "still booting", "banner": "Linux version 0.01"},
    {"type": "error", "where": "privilege", "what": "EPERM"},
    stream.bye(3, "tampered"),
]
ODD = [None, True, -1, 1.5, 2, 6, "", "0x12", "x" * 16, "a", [], [{}], {}, "intact", "0x00000000000000FF"]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_table_names_the_schemas_fields():
    for option in SCHEMA["oneOf"]:
        kind = option["properties"]["type"]["const"]
        assert set(option["required"]) - {"type"} == set(SHAPES[kind])
        assert set(option["properties"]) - {"type"} == set(SHAPES[kind]) | set(OPTIONAL.get(kind, {}))
    assert len(SCHEMA["oneOf"]) == len(SHAPES) == len(SAMPLES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s["type"])
def test_table_and_schema_agree_on_good_and_odd_values(sample):
    VALIDATOR.validate(sample)
    assert shape_error(sample) is None
    for name in sample.keys() - {"type"}:
        for value in ODD:
            changed = copy.deepcopy(sample) | {name: value}
            assert (shape_error(changed) is None) == VALIDATOR.is_valid(changed), (name, value)
        missing = {k: v for k, v in sample.items() if k != name}
        assert (shape_error(missing) is None) == VALIDATOR.is_valid(missing), name
