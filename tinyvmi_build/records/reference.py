"""What is generated from format.py: the JSON Schema of a record, and the reference page."""

from __future__ import annotations

import json

from tinyvmi_build.records import fields
from tinyvmi_build.records.format import ABI, TYPES

_HEAD = f"""\
# The record stream

Generated from `tinyvmi_build/records/format.py` (`pytest --bless` writes it).

A monitor's console carries one record a line, mixed with other text, which passes through
untouched:

    TVMI1 <seq> <crc> <json>

`seq` is decimal, starts at 0 and grows by one with each record of a run. `crc` is eight lower-case
hex digits: the CRC-32 (IEEE 802.3, as `zlib.crc32`) of the ASCII bytes `<seq> <json>`. `json` is
one object in ASCII, at most 2,000 bytes. Text that comes from the guest is escaped: `\\u00XX` stands
for each byte outside 0x20..0x7e and for `"` and `\\`.

The field `type` says which of the following records it is. A reader ignores unknown fields and
shows unknown types. `abi` in `hello` is {ABI}; it grows when a field changes its meaning or goes.
Addresses are text, `"0x%016x"`. The JSON Schema is `tinyvmi_build/records/records.schema.json`.
"""


def schema() -> dict[str, object]:
    """Of the JSON object of a record of a known type."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tinyvmi:records:{ABI}",
        "title": "TinyVMI record",
        "description": "The JSON object of one line of a monitor's record stream.",
        "oneOf": [
            {
                "description": fields.summary(described),
                **fields.object_schema(described, {"type": {"const": described.type}}),
            }
            for described in TYPES
        ],
    }


def schema_text() -> str:
    """The file records.schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


def page() -> str:
    """The file docs/reference/records.md."""
    parts = [_HEAD.rstrip()]
    for described in TYPES:
        parts += ["", f"## {described.type}", "", *fields.wrapped(fields.summary(described)), ""]
        parts += fields.table(described)
    return "\n".join(parts) + "\n"
