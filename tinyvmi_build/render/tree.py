"""Rendered files into a build folder: only what changed is touched, only what is ours is removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.files import write_file
from tinyvmi_build.render.env import GENERATED


@dataclass(frozen=True)
class Change:
    """What happened to one file; `what` is created, updated, unchanged or removed."""

    path: str
    what: str


def write_tree(folder: Path, files: Mapping[str, str | bytes]) -> list[Change]:
    """Write `files` (path in `folder` → content); remove generated files that are no longer among them."""
    changes = [Change(name, write(folder / name, content)) for name, content in sorted(files.items())]
    for path in sorted(p for suffix in ("c", "h", "mk") for p in (folder / "generated").glob(f"*.{suffix}")):
        name = f"generated/{path.name}"
        if name not in files and is_ours(path):
            path.unlink()
            changes.append(Change(name, "removed"))
    return changes


def write(path: Path, content: str | bytes) -> str:
    """Write `content` if the file does not hold it already; atomic.  Returns what was done."""
    data = content.encode() if isinstance(content, str) else content
    try:
        existed = path.exists()
        if existed and path.read_bytes() == data:
            return "unchanged"
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MissingEnvironmentError(f"{path}: cannot be written: {error.strerror}") from error
    write_file(path, data, 0o644)
    return "updated" if existed else "created"


def is_ours(path: Path) -> bool:
    """Whether the file bears the header of generated files."""
    try:
        with path.open("rb") as stream:
            return GENERATED.encode() in stream.read(200)
    except OSError:
        return False
