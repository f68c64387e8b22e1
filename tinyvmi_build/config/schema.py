"""The JSON Schema of tinyvmi.toml, for editors; generated from the dataclasses."""

from __future__ import annotations

import json
from typing import Any

from tinyvmi_build.config.model import sections

SCHEMA_FILE = "tinyvmi.schema.json"


def schema() -> dict[str, Any]:
    """The schema as an object."""
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tinyvmi:config:1",
        "title": "tinyvmi.toml",
        "description": "Configuration of a TinyVMI monitor.",
        "type": "object",
        "additionalProperties": False,
        "properties": {},
    }
    for path, section in sections().items():
        table: dict[str, Any] = {
            "type": "object",
            "description": section.doc,
            "additionalProperties": False,
            "properties": {},
        }
        for key in section.keys:
            entry = key.kind.schema() | {"description": key.doc}
            if isinstance(key.default, bool | int | str) and key.default != "":
                entry["default"] = json.loads(key.kind.show(key.default))
            table["properties"][key.path[-1]] = entry
        parent = root
        for name in path[:-1]:
            parent = parent["properties"][name]
        switch = parent["properties"].get(path[-1])
        # A check that has a table of its own can be a plain true or false, too.
        parent["properties"][path[-1]] = table if switch is None else {"anyOf": [switch, table]}
    return root


def schema_text() -> str:
    """The schema as it is written to a file."""
    return json.dumps(schema(), indent=2) + "\n"
