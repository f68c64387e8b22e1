"""The build folder as `launch` finds it: one manifest and the files that it names."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build import json_output
from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import MANIFEST, read_text
from tinyvmi_build.report.latency import GROUP, Schedule

_IMAGE_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Manifest:
    """`tinyvmi-NAME.json`; the files are absolute paths and exist."""

    name: str
    target: str
    image: Path
    config: Path
    profile: Path
    period_ms: int
    jitter_pct: int
    heartbeat_ms: int
    poll_ms: int
    time_budget_us: int
    comparison: str
    checks: tuple[str, ...]
    image_id: str
    privilege: str

    def schedule(self, period_ms: int | None = None) -> Schedule:
        """What the worst times to detection follow from, with another period than the one built in."""
        return Schedule(
            period_s=(period_ms or self.period_ms) / 1000,
            jitter_pct=self.jitter_pct,
            poll_s=self.poll_ms / 1000,
            time_budget_s=self.time_budget_us / 1e6,
            comparison=self.comparison,
        )


def read_manifest(folder: Path) -> Manifest:
    """The one manifest in `folder`; UsageError if there is none, several, or it is not what it should be."""
    fields = _Fields(_find(folder))
    return Manifest(
        name=fields.text("name"),
        target=fields.text("target"),
        image=fields.file("image"),
        config=fields.file("config"),
        profile=fields.file("profile"),
        period_ms=fields.number("period_ms"),
        jitter_pct=fields.number("jitter_pct", 0),
        heartbeat_ms=fields.number("heartbeat_ms"),
        poll_ms=fields.number("poll_ms", 0),
        time_budget_us=fields.number("time_budget_us", 0),
        comparison=fields.one_of("comparison", *GROUP),
        checks=tuple(str(name) for name in fields.value("checks", list)),
        image_id=fields.matching("image_id", _IMAGE_ID),
        privilege=fields.text("privilege"),
    )


def _find(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="give the build folder, such as build/guest")
    found = sorted(folder.glob("tinyvmi-*.json"))
    if len(found) != 1:
        what = "no monitor" if not found else f"{len(found)} monitors ({', '.join(p.name for p in found)})"
        raise UsageError(f"{folder} holds {what}", hint="give the build/NAME folder of one monitor")
    return found[0]


class _Fields:
    """The fields of the manifest at `path`; each method raises UsageError unless the field is as it asks."""

    def __init__(self, path: Path):
        self._path = path
        try:
            data = json.loads(read_text(path, MANIFEST))
        except (UsageError, ValueError, RecursionError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="build the monitor again") from None
        try:
            self._data = json_output.unwrap("manifest", data, str(path))
        except UsageError as error:
            raise UsageError(error.message, hint="build the monitor again with this version") from None

    def value(self, key: str, kind: type) -> Any:
        if not isinstance(self._data.get(key), kind):
            raise UsageError(
                f"{self._path} has no proper '{key}'", hint="build the monitor again with this version"
            )
        return self._data[key]

    def text(self, key: str) -> str:
        return str(self.value(key, str))

    def number(self, key: str, least: int = 1) -> int:
        value = self.value(key, int)
        if isinstance(value, bool) or not least <= value < 1 << 31:
            raise self._bad(f"'{key}' is {value!r}")
        return int(value)

    def matching(self, key: str, pattern: re.Pattern[str]) -> str:
        value = self.text(key)
        if not pattern.fullmatch(value):
            raise self._bad(f"'{key}' is {value!r}")
        return value

    def one_of(self, key: str, *values: str) -> str:
        value = self.text(key)
        if value not in values:
            raise self._bad(f"'{value}' is none of {', '.join(values)}")
        return value

    def file(self, key: str) -> Path:
        """The path of a file beside the manifest."""
        name = self.text(key)
        folder = self._path.parent
        if "/" in name or not (folder / name).is_file():
            raise UsageError(
                f"{self._path} names the {key} '{name}', which is not beside it",
                hint="copy the whole build folder",
            )
        return (folder / name).resolve()

    def _bad(self, what: str) -> UsageError:
        return UsageError(f"{self._path}: {what}", hint="build the monitor again")
