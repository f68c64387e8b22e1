"""JSON objects described once, as dataclasses: a check, a JSON Schema and a table follow from that.

A field's annotation is `Annotated[TYPE, KIND, "its meaning"]`.  KIND decides which JSON values are
good; a field with a default may be absent.
"""

from __future__ import annotations

import re
import textwrap
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, TypeVar

from tinyvmi_build.records.verdict import Verdict

T = TypeVar("T")


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """What a value may be: in words, as JSON Schema, as a test; and what Python makes of a good one."""

    words: str
    schema: Mapping[str, object]
    holds: Callable[[object], bool]
    convert: Callable[[Any], Any] = _same


def _pattern(words: str, pattern: str) -> Kind:
    compiled = re.compile(pattern, re.ASCII)
    return Kind(
        words,
        {"type": "string", "pattern": f"^{pattern}$"},
        lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None,
    )


def exactly(value: int) -> Kind:
    """The number `value`."""
    return Kind(
        str(value), {"const": value}, lambda found: found == value and not isinstance(found, bool | float)
    )


def one_of(*values: int) -> Kind:
    """One of these numbers."""
    return Kind(
        " or ".join(map(str, values)),
        {"enum": list(values)},
        lambda found: isinstance(found, int) and not isinstance(found, bool) and found in values,
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


TEXT = Kind("text", {"type": "string"}, lambda value: isinstance(value, str))
COUNT = Kind("number", {"type": "integer", "minimum": 0}, _is_count)
ADDRESS = _pattern("address", "0x[0-9a-f]{16}")
HEX = _pattern("hex bytes", "([0-9a-f]{2})*")
BUILD_ID = _pattern("40 hex digits", "[0-9a-f]{40}")
IMAGE_ID = _pattern("16 hex digits", "[0-9a-f]{16}")
NONCE = _pattern("up to 32 hex digits", "[0-9a-f]{0,32}")
VERDICT = Kind(
    "verdict",
    {"enum": [str(verdict) for verdict in Verdict]},
    lambda value: isinstance(value, str) and value in tuple(Verdict),
    Verdict,
)


@dataclass(frozen=True)
class Field:
    """One field of a described object."""

    name: str
    kind: Kind
    meaning: str
    required: bool


def fields_of(described: type) -> tuple[Field, ...]:
    """The fields of a described dataclass, in their order."""
    hints = typing.get_type_hints(described, include_extras=True)
    found = []
    for field in dataclass_fields(described):
        _, kind, meaning = typing.get_args(hints[field.name])
        found.append(Field(field.name, kind, meaning, field.default is MISSING))
    return tuple(found)


def shape_error(described: type, what: str, body: Mapping[str, object]) -> str | None:
    """What is wrong with `body` (called `what`), None if nothing.  Other fields may be there."""
    for field in _known(described):
        if field.name not in body:
            if field.required:
                return f"the {what} has no '{field.name}'"
        elif not field.kind.holds(body[field.name]):
            return f"the {what}'s '{field.name}' is not what the contract says"
    return None


def read(described: type[T], body: Mapping[str, object]) -> T:
    """`body`, in which shape_error() finds nothing, as an object of the dataclass."""
    values = {
        field.name: field.kind.convert(body[field.name]) for field in _known(described) if field.name in body
    }
    return described(**values)


_cache: dict[type, tuple[Field, ...]] = {}


def _known(described: type) -> tuple[Field, ...]:
    if described not in _cache:
        _cache[described] = fields_of(described)
    return _cache[described]


def list_of(described: type, words: str) -> Kind:
    """A list of such objects."""
    name = described.__name__
    return Kind(
        words,
        {"type": "array", "items": object_schema(described)},
        lambda value: (
            isinstance(value, list)
            and all(isinstance(item, dict) and shape_error(described, name, item) is None for item in value)
        ),
        lambda value: tuple(read(described, item) for item in value),
    )


def object_schema(described: type, first: Mapping[str, object] | None = None) -> dict[str, object]:
    """Its JSON Schema; `first` are properties that stand before its own and are required."""
    first = first or {}
    known = fields_of(described)
    return {
        "type": "object",
        "properties": {**first, **{field.name: field.kind.schema for field in known}},
        "required": [*first, *(field.name for field in known if field.required)],
    }


def summary(described: type) -> str:
    """The dataclass's docstring as one paragraph."""
    return " ".join((described.__doc__ or "").split())


def table(described: type) -> list[str]:
    """Its fields as a table in Markdown."""
    rows = ["| field | kind | |", "|---|---|---|"]
    for field in fields_of(described):
        optional = "" if field.required else "optional: "
        rows.append(f"| `{field.name}` | {field.kind.words} | {optional}{field.meaning} |")
    return rows


def wrapped(text: str) -> list[str]:
    """`text` as lines of at most 100 columns."""
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
