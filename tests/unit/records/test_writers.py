"""The C code writes the records that format.py describes: the same types, fields and kinds.

The sources are read as text, so this needs no compiler.  A record is what is written between `…_begin` and
`…_end` of one function; a field is always there unless its statement stands under an `if`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tinyvmi_build.paths import data_dir
from tinyvmi_build.records import fields, format
from tinyvmi_build.records.fields import ADDRESS, BUILD_ID, HEX, IMAGE_ID, NONCE, TEXT, VERDICT

_BEGIN = re.compile(r"\btv_record_begin\(\s*&?\w+,\s*([^)]+?)\s*\)")
_FIELD = re.compile(
    r'\btv_record_(string|uint|address|hex|open_array)\(\s*&?\w+,\s*("?)([\w.\[\]>-]+)\2\s*[,)]'
)
_FUNCTION = re.compile(r"^(?:static )?[\w *]+?(\w+)\([^;{]*\)\n\{\n(.*?)^\}", re.M | re.S)
_TEXTS = {id(kind) for kind in (TEXT, VERDICT, IMAGE_ID, NONCE)}
_BYTES = {id(kind) for kind in (HEX, BUILD_ID)}


@dataclass
class Written:
    """A record as one place of the code writes it: field → the kind of its writer."""

    where: str
    always: dict[str, str] = field(default_factory=dict)
    at_times: dict[str, str] = field(default_factory=dict)


def _functions() -> Iterator[tuple[Path, str, str]]:
    root = data_dir("minios_app")
    for path in sorted(root.rglob("*.c")):
        text = path.read_text()
        if "tests" in path.relative_to(root).parts or "tv_record_begin" not in text:
            continue
        for name, body in _FUNCTION.findall(text):
            yield path, name, body


def _types(argument: str, path: Path, function: str) -> list[str]:
    """The types that `…_begin(argument)` stands for: a literal, or what the function's callers give it."""
    if argument.startswith('"'):
        return [argument.strip('"')]
    return re.findall(rf'\b{function}\((?:\w+, )?"(\w+)"', path.read_text())


def _names(key: str, quoted: bool, body: str) -> list[str]:
    """The fields that a key stands for: itself, or all in the function's own table of names."""
    if quoted:
        return [key]
    table = re.search(rf"\b{key.partition('[')[0]}\[\w*\] = \{{(.*?)\}}", body, re.S)
    assert table, f"{key} is no literal and no table of the function"
    return re.findall(r'"(\w+)"', table[1])


def _without_objects(body: str) -> str:
    """Without what an array's objects hold: those are described with the array."""
    return re.sub(r"tv_record_open_object\(w\);.*?tv_record_close_object\(w\);", "", body, flags=re.S)


def written() -> dict[str, list[Written]]:
    """Type → the places that write it."""
    found: dict[str, list[Written]] = {}
    for path, function, body in _functions():
        for piece in re.split(r"(?=\btv_record_begin\()", body)[1:]:
            record = piece.partition("tv_record_end(")[0]
            begin = _BEGIN.match(record)
            assert begin, record
            one = Written(f"{path.name}: {function}")
            lines = _without_objects(record).splitlines()
            for before, line in zip([""] + lines, lines, strict=False):
                for kind, quote, key in _FIELD.findall(line):
                    under_if = re.match(r"\s*(if|else)\b", before) or re.match(r"\s*if\b", line)
                    for name in _names(key, bool(quote), body):
                        (one.at_times if under_if else one.always)[name] = kind
            for name in _types(begin[1], path, function):
                found.setdefault(name, []).append(one)
    return found


def _writer(kind: fields.Kind) -> str:
    """The function that writes such a value."""
    if kind is ADDRESS:
        return "address"
    if id(kind) in _BYTES:
        return "hex"
    if id(kind) in _TEXTS:
        return "string"
    return "open_array" if kind.schema.get("type") == "array" else "uint"


def test_every_type_is_written_and_no_other() -> None:
    assert written().keys() == {described.type for described in format.TYPES}


def test_the_fields_are_the_described_ones() -> None:
    for name, places in written().items():
        described = fields.fields_of(format.BY_NAME[name])
        wanted = {each.name: _writer(each.kind) for each in described}
        found: dict[str, str] = {}
        for place in places:
            found |= place.always | place.at_times
        assert found == wanted, (name, [place.where for place in places])


def test_a_field_that_is_always_written_is_required() -> None:
    for name, places in written().items():
        always = set.intersection(*(set(place.always) for place in places))
        required = {each.name for each in fields.fields_of(format.BY_NAME[name]) if each.required}
        assert always == required, (name, [place.where for place in places])


def test_the_version_is_the_described_one() -> None:
    source = (data_dir("minios_app") / "monitor" / "records.c").read_text()
    assert re.findall(r'tv_record_uint\(w, "abi", (\d+)\)', source) == [str(format.ABI)]
