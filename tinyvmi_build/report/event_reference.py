"""What is generated from event_format.py: the JSON Schema of an event, and the reference page."""

from __future__ import annotations

import json

from tinyvmi_build import json_output
from tinyvmi_build.records import fields
from tinyvmi_build.report.event_format import EVENTS, Common

_HEAD = """\
# The events of `--json`

Generated from `tinyvmi_build/report/event_format.py` (`pytest --bless` writes it).

`launch --json`, `check --json` and `lab run --json` print one JSON object a line. A reader ignores
unknown fields and unknown events. The JSON Schema is `tinyvmi_build/report/events.schema.json`.
Each object begins with:
"""


def schema() -> dict[str, object]:
    """Of one object."""
    common = fields.object_schema(Common)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tinyvmi:event:{json_output.VERSIONS['event']}",
        "title": "TinyVMI event",
        "description": "One line of `tinyvmi-build launch --json`, `check --json` or `lab run --json`.",
        **common,
        "oneOf": [
            {
                "description": fields.summary(described),
                **fields.object_schema(described, {"event": {"const": described.event}}),
            }
            for described in EVENTS
        ],
    }


def schema_text() -> str:
    """The file events.schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


def page() -> str:
    """The file docs/reference/events.md."""
    parts = [_HEAD, *fields.table(Common)]
    for described in EVENTS:
        parts += ["", f"## {described.event}", "", *fields.wrapped(fields.summary(described)), ""]
        parts += fields.table(described)
    return "\n".join(parts) + "\n"
