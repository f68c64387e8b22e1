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
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="give the build folder, such as build/guest")
    found = sorted(folder.glob("tinyvmi-*.json"))
    if len(found) != 1:
        what = "no monitor" if not found else f"{len(found)} monitors ({', '.join(p.name for p in found)})"
        raise UsageError(f"{folder} holds {what}", hint="give the build/NAME folder of one monitor")
    path = found[0]
    try:
        data = json.loads(read_text(path, MANIFEST))
    except (UsageError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="build the monitor again") from None
    try:
        data = json_output.unwrap("manifest", data, str(path))
    except UsageError as error:
        raise UsageError(error.message, hint="build the monitor again with this version") from None

    def text(key: str) -> str:
        return str(_field(path, data, key, str))

    def number(key: str, least: int = 1) -> int:
        value = _field(path, data, key, int)
        if isinstance(value, bool) or not least <= value < 1 << 31:
            raise UsageError(f"{path}: '{key}' is {value!r}", hint="build the monitor again")
        return int(value)

    def file(key: str) -> Path:
        name = text(key)
        if "/" in name or not (folder / name).is_file():
            raise UsageError(
                f"{path} names the {key} '{name}', which is not beside it", hint="copy the whole build folder"
            )
        return (folder / name).resolve()

    image_id = text("image_id")
    if not _IMAGE_ID.fullmatch(image_id):
        raise UsageError(f"{path}: 'image_id' is {image_id!r}", hint="build the monitor again")
    return Manifest(
        name=text("name"),
        target=text("target"),
        image=file("image"),
        config=file("config"),
        profile=file("profile"),
        period_ms=number("period_ms"),
        jitter_pct=number("jitter_pct", 0),
        heartbeat_ms=number("heartbeat_ms"),
        poll_ms=number("poll_ms", 0),
        time_budget_us=number("time_budget_us", 0),
        comparison=_among(path, text("comparison"), *GROUP),
        checks=tuple(str(name) for name in _field(path, data, "checks", list)),
        image_id=image_id,
        privilege=text("privilege"),
    )


def _among(path: Path, value: str, *values: str) -> str:
    if value not in values:
        raise UsageError(f"{path}: '{value}' is none of {', '.join(values)}", hint="build the monitor again")
    return value


def _field(path: Path, data: dict[str, object], key: str, kind: type) -> Any:
    if not isinstance(data.get(key), kind):
        raise UsageError(f"{path} has no proper '{key}'", hint="build the monitor again with this version")
    return data[key]
