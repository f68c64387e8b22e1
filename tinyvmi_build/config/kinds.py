"""The kinds of value that a key can have: how each is checked, shown as TOML, and described in the schema."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tinyvmi_build.duration import GRAMMAR, PATTERN, duration_text, parse_duration

BUILT_IN = "built-in"


class Kind(Protocol):
    """One kind of value.  `parse` raises ValueError saying what was wanted."""

    def parse(self, value: Any, base: Path) -> Any: ...

    def show(self, value: Any) -> str: ...

    def schema(self) -> dict[str, object]: ...


def toml_string(text: str) -> str:
    """`text` as a TOML basic string (JSON's escapes are a part of TOML's; DEL must be escaped too)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(frozen=True)
class Bool:
    def parse(self, value: Any, base: Path) -> bool:
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value

    def show(self, value: bool) -> str:
        return "true" if value else "false"

    def schema(self) -> dict[str, object]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Int:
    low: int
    high: int
    unit: str

    def parse(self, value: Any, base: Path) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise ValueError(f"a whole number of {self.unit} from {self.low} to {self.high}")
        return value

    def show(self, value: int) -> str:
        return str(value)

    def schema(self) -> dict[str, object]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Duration:
    """Milliseconds, written as `tinyvmi_build.duration` says."""

    low: int
    high: int

    def parse(self, value: Any, base: Path) -> int:
        if not isinstance(value, str):
            raise ValueError(GRAMMAR)
        return parse_duration(value, self.low, self.high)

    def show(self, value: int) -> str:
        return toml_string(duration_text(value))

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^{PATTERN}$"}


@dataclass(frozen=True)
class Text:
    pattern: str
    wanted: str

    def parse(self, value: Any, base: Path) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(self.wanted)
        return value

    def show(self, value: str) -> str:
        return toml_string(value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True)
class Choice:
    values: tuple[str, ...]

    def parse(self, value: Any, base: Path) -> str:
        if value not in self.values:
            raise ValueError(" or ".join(map(toml_string, self.values)))
        return str(value)

    def show(self, value: str) -> str:
        return toml_string(value)

    def schema(self) -> dict[str, object]:
        return {"enum": list(self.values)}


@dataclass(frozen=True)
class Strings:
    """Strings that a guest may hold: without NUL, each fits the kernel's array of `limit` bytes."""

    limit: int

    def parse(self, value: Any, base: Path) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise ValueError('a list of strings, e.g. ["/sbin/modprobe"]')
        for item in value:
            if "\0" in item or len(item.encode()) >= self.limit:
                raise ValueError(f"strings without NUL of fewer than {self.limit} bytes")
        return tuple(value)

    def show(self, value: tuple[str, ...]) -> str:
        return "[" + ", ".join(map(toml_string, value)) + "]"

    def schema(self) -> dict[str, object]:
        return {"type": "array", "minItems": 1, "items": {"type": "string", "maxLength": self.limit - 1}}


def _possible(path: str) -> bool:
    """Whether the system could have a file of that name: without NUL, and no part of it too long."""
    parts = path.encode("utf-8", "surrogatepass").split(b"/")
    return "\0" not in path and sum(map(len, parts)) < 4096 - len(parts) and max(map(len, parts)) < 256


@dataclass(frozen=True)
class FilePath:
    """One path, relative to the file that names it; "" is none."""

    def parse(self, value: Any, base: Path) -> Path | None:
        if not isinstance(value, str) or not _possible(value):
            raise ValueError("a path")
        return base / value if value else None

    def show(self, value: Path | None) -> str:
        return toml_string(str(value or ""))

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


@dataclass(frozen=True)
class FilePaths:
    """A list of paths, relative to the file that names them."""

    def parse(self, value: Any, base: Path) -> tuple[Path, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) and v and _possible(v) for v in value):
            raise ValueError('a list of paths, e.g. ["linux-image.deb"]')
        return tuple(base / item for item in value)

    def show(self, value: tuple[Path, ...]) -> str:
        return "[" + ", ".join(toml_string(str(item)) for item in value) + "]"

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": {"type": "string", "minLength": 1}}


@dataclass(frozen=True)
class GitTree:
    """A commit (40 hex digits, or 64) of a git repository."""

    url: str
    rev: str


@dataclass(frozen=True)
class Tree:
    """A Mini-OS: "built-in", a folder, or a commit of a repository."""

    def parse(self, value: Any, base: Path) -> str | Path | GitTree:
        if value == BUILT_IN:
            return BUILT_IN
        if isinstance(value, str) and value and _possible(value):
            return base / value
        if not isinstance(value, dict) or set(value) != {"git", "rev"}:
            raise ValueError('"built-in", a folder, or { git = "URL", rev = "COMMIT" }')
        url, rev = value["git"], value["rev"]
        if not isinstance(url, str) or not re.fullmatch(r"[^-\0-\x20][^\0-\x20]*", url):
            raise ValueError("the URL of a repository in 'git'")
        if not isinstance(rev, str) or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", rev):
            raise ValueError("a whole commit id in 'rev', 40 hex digits: branches and tags can move")
        is_path = ":" not in url
        return GitTree(str(base / url) if is_path else url, rev)

    def show(self, value: str | Path | GitTree) -> str:
        if isinstance(value, GitTree):
            return f"{{ git = {toml_string(value.url)}, rev = {toml_string(value.rev)} }}"
        return toml_string(str(value))

    def schema(self) -> dict[str, object]:
        commit = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "git": {"type": "string", "minLength": 1},
                "rev": {"type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$"},
            },
            "required": ["git", "rev"],
        }
        return {"anyOf": [{"type": "string", "minLength": 1}, commit]}
