"""The JSON Schema of tinyvmi.toml, for editors; generated from the dataclasses."""

from __future__ import annotations

import json

from tinyvmi_build.config.model import Key, sections

SCHEMA_FILE = "tinyvmi.schema.json"


def schema() -> dict[str, object]:
    """The schema as an object."""
    tables: dict[tuple[str, ...], dict[str, object]] = {(): {}}  # the properties of each table
    for path, section in sections().items():
        properties = {key.path[-1]: _entry(key) for key in section.keys}
        tables[path] = properties
        table = {
            "type": "object",
            "description": section.doc,
            "additionalProperties": False,
            "properties": properties,
        }
        above = tables[path[:-1]]
        switch = above.get(path[-1])
        # A check that has a table of its own can be a plain true or false, too.
        above[path[-1]] = table if switch is None else {"anyOf": [switch, table]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:tinyvmi:config:1",
        "title": "tinyvmi.toml",
        "description": "Configuration of a TinyVMI monitor.",
        "type": "object",
        "additionalProperties": False,
        "properties": tables[()],
    }


def _entry(key: Key) -> object:
    entry = key.kind.schema() | {"description": key.doc}
    if isinstance(key.default, bool | int | str) and key.default != "":
        entry["default"] = json.loads(key.kind.show(key.default))
    return entry


def schema_text() -> str:
    """The schema as it is written to a file."""
    return json.dumps(schema(), indent=2) + "\n"
