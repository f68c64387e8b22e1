"""How a dataclass declares one key of the configuration: its kind, its default and its documentation."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from tinyvmi_build.config.kinds import Kind


def key(kind: Kind, default: Any, doc: str) -> Any:
    """A dataclass field that is a key of tinyvmi.toml."""
    return field(default=default, metadata={"kind": kind, "doc": doc})
