"""The envelope of every JSON that the tool writes for other programs.

Each object says what it is (`schema`, such as "tinyvmi.manifest") and which form of it this is
(`version`, which grows when a field changes its meaning or goes; a field may be added without).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tinyvmi_build.errors import UsageError

#: Name → the version that this tool writes.  docs/reference/json.md has a line for each.
VERSIONS = {
    "bench": 1,  # bench --json
    "build": 1,  # build --json
    "config": 1,  # config show --json
    "doctor": 1,  # doctor --json
    "event": 1,  # a line of launch --json, check --json and lab run --json
    "image": 1,  # inspect --json
    "init": 1,  # init --json
    "manifest": 1,  # tinyvmi-NAME.json in a build folder
    "profile": 1,  # profile show --json
    "profile-build": 1,  # profile build --json
    "symbols": 1,  # profile show --symbol --json
}


def schema_name(name: str) -> str:
    """What `schema` says of `name`."""
    return f"tinyvmi.{name}"


def envelope(name: str, fields: Mapping[str, object]) -> dict[str, object]:
    """`fields` with `schema` and `version` before them, which must not be among them."""
    head: dict[str, object] = {"schema": schema_name(name), "version": VERSIONS[name]}
    if taken := head.keys() & fields.keys():
        raise ValueError(f"the envelope's {', '.join(sorted(taken))} would be overwritten")
    return {**head, **fields}


def line(name: str, fields: Mapping[str, object]) -> str:
    """One object on one line, in ASCII."""
    return json.dumps(envelope(name, fields), ensure_ascii=True)


def document(name: str, fields: Mapping[str, object], indent: int = 2) -> str:
    """One object over several lines."""
    return json.dumps(envelope(name, fields), indent=indent)


def unwrap(name: str, value: object, where: str) -> dict[str, object]:
    """The fields inside the envelope of a `name`; UsageError if `value`, read from `where`, is none."""
    if not isinstance(value, dict):
        raise UsageError(f"{where} holds no JSON object")
    if value.get("schema") != schema_name(name):
        raise UsageError(f"{where} is no {schema_name(name)}: its 'schema' is {value.get('schema')!r}")
    if value.get("version") != VERSIONS[name] or isinstance(value["version"], bool):
        raise UsageError(
            f"{where} has version {value.get('version')!r} of {schema_name(name)},"
            f" this tool reads {VERSIONS[name]}"
        )
    return {key: field for key, field in value.items() if key not in ("schema", "version")}
