"""The objects of `--json`, held against their JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from tinyvmi_build.report import event_reference

VALIDATOR = jsonschema.Draft202012Validator(event_reference.schema())


def valid_events(text: str) -> list[dict[str, Any]]:
    """The object on each line; jsonschema.ValidationError if one is not as the schema says."""
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        VALIDATOR.validate(one)
    return found
