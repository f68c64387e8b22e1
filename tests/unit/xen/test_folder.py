from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinyvmi_build.errors import UsageError
from tinyvmi_build.report.latency import Schedule
from tinyvmi_build.xen.folder import read_manifest

GOOD: dict[str, Any] = {
    "schema": "tinyvmi.manifest",
    "version": 1,
    "name": "web",
    "target": "web-1",
    "image": "tinyvmi-web.gz",
    "config": "tinyvmi-web.cfg",
    "profile": "tinyvmi-web.profile",
    "period_ms": 1000,
    "jitter_pct": 0,
    "heartbeat_ms": 5000,
    "poll_ms": 100,
    "time_budget_us": 2000,
    "comparison": "bytes",
    "checks": ["identity"],
    "image_id": "0123456789abcdef",
    "privilege": "target",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for key in ("image", "config", "profile"):
        (tmp_path / GOOD[key]).touch()
    (tmp_path / "tinyvmi-web.json").write_text(json.dumps(GOOD))
    return tmp_path


def test_a_good_one(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert (manifest.name, manifest.target, manifest.period_ms) == ("web", "web-1", 1000)
    assert manifest.image == folder / "tinyvmi-web.gz"
    assert manifest.checks == ("identity",)
    assert manifest.schedule() == Schedule(1.0, 0, 0.1, 0.002, "bytes")
    assert manifest.schedule(500).period_s == 0.5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", None, "is no tinyvmi.manifest: its 'schema' is None"),
        ("version", 2, "version 2 of tinyvmi.manifest"),
        ("image_id", "XYZ", "'image_id' is 'XYZ'"),
        ("image_id", None, "no proper 'image_id'"),
        ("period_ms", 0, "'period_ms' is 0"),
        ("period_ms", True, "'period_ms' is True"),
        ("period_ms", "1s", "no proper 'period_ms'"),
        ("heartbeat_ms", 1 << 31, "'heartbeat_ms' is"),
        ("poll_ms", None, "no proper 'poll_ms'"),
        ("time_budget_us", -1, "'time_budget_us' is -1"),
        ("comparison", "hope", "'hope' is none of bytes, digest"),
        ("checks", "identity", "no proper 'checks'"),
        ("image", "../../etc/passwd", "not beside it"),
        ("profile", "gone.profile", "names the profile 'gone.profile'"),
    ],
)
def test_a_bad_field(folder: Path, key: str, value: Any, message: str) -> None:
    (folder / "tinyvmi-web.json").write_text(json.dumps({**GOOD, key: value}))
    with pytest.raises(UsageError, match=message) as caught:
        read_manifest(folder)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "\udce4"])
def test_a_broken_manifest(folder: Path, text: str) -> None:
    (folder / "tinyvmi-web.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"tinyvmi-web\.json (cannot be read|holds no JSON object)"):
        read_manifest(folder)


def test_none_and_several(folder: Path, tmp_path: Path) -> None:
    (folder / "tinyvmi-other.json").write_text("{}")
    with pytest.raises(UsageError, match="2 monitors"):
        read_manifest(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no monitor"):
        read_manifest(tmp_path / "empty")
    with pytest.raises(UsageError, match="is no folder"):
        read_manifest(tmp_path / "nowhere")
