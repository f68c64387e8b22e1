"""Every JSON that the tool prints for programs says what it is and in which version."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

import tinyvmi_build
from tinyvmi_build import json_output
from tinyvmi_build.errors import UsageError

PACKAGE = Path(tinyvmi_build.__file__).parent


def test_the_envelope_comes_first_and_is_taken_off_again() -> None:
    text = json_output.document("doctor", {"ok": True})
    assert list(json.loads(text)) == ["schema", "version", "ok"]
    assert json_output.unwrap("doctor", json.loads(text), "x") == {"ok": True}
    assert json_output.line("event", {"a": "é"}).endswith('"a": "\\u00e9"}')


@pytest.mark.parametrize("field", ["schema", "version"])
def test_no_field_replaces_the_envelopes(field: str) -> None:
    with pytest.raises(ValueError, match=f"envelope's {field} would"):
        json_output.envelope("bench", {field: 1})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "x holds no JSON object"),
        ({}, "x is no tinyvmi.bench: its 'schema' is None"),
        ({"schema": "tinyvmi.build", "version": 1}, "its 'schema' is 'tinyvmi.build'"),
        ({"schema": "tinyvmi.bench"}, "x has version None of tinyvmi.bench"),
        ({"schema": "tinyvmi.bench", "version": 2}, "this tool reads 1"),
        ({"schema": "tinyvmi.bench", "version": True}, "version True"),
    ],
)
def test_what_is_something_else_is_refused(value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        json_output.unwrap("bench", value, "x")


def test_no_verb_prints_json_without_it() -> None:
    """`click.echo(json.dumps(…))` in the verbs would be JSON without an envelope."""
    bare = []
    for path in sorted((PACKAGE / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.echo":
                bare += [f"{path.name}:{node.lineno}" for a in node.args if "json.dumps" in ast.unparse(a)]
    assert bare == []


def test_every_schema_is_written_somewhere() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "json_output.py")
    for name in json_output.VERSIONS:
        assert f'"{name}", ' in source, name


def test_validation_by_schema_is_for_tests_alone() -> None:
    """A dom0 has the standard library and click: nothing in the package imports jsonschema."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            assert not any(name.partition(".")[0] == "jsonschema" for name in names), path
    pyproject = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert not any("jsonschema" in one for one in pyproject["dependencies"])
    assert any("jsonschema" in one for one in pyproject["optional-dependencies"]["test"])
