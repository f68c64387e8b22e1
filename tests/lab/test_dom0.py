"""The same core as a process of dom0: what it says is what the monitor says, record for record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.lab.conftest import DOM0
from tinyvmi_build.checks.tamper import change
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.protocol import Record, parse_line

WAYS = ("--batched", "--revalidate", "--single")
Said = dict[str, tuple[int, list[dict[str, Any]]]]  # who → exit status, records
# Times, who asked, and how often it was asked.
OWN = {"duration_us", "uptime_ms", "nonce", "base", "base_rev", "image", "period_ms"}
TAMPER = "syscall-table-getdents64"


def comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what may differ, and without notices of waiting and heartbeats, which depend on time."""
    return [
        {name: value for name, value in record.items() if name not in OWN}
        for record in records
        if record["type"] != "waiting" and not (record["type"] == "heartbeat" and record["scan"] == 0)
    ]


def by_dom0(lab: Lab, target: Target, way: str) -> tuple[int, list[dict[str, Any]]]:
    """(exit status, records) of one scan."""
    done = lab.run([DOM0, way, str(target.domid), "00", "1"], 120)
    items = [item for line in done.out.splitlines() for item in parse_line(line)]
    assert items and all(isinstance(item, Record) for item in items), done
    return done.status, comparable([item.body for item in items if isinstance(item, Record)])


def by_the_monitor(lab: Lab, target: Target) -> tuple[int, list[dict[str, Any]]]:
    done = lab.run(
        ["tinyvmi-build", "launch", "/lab/monitor", "--target", target.name, "--scans", "1", "--json"], 120
    )
    reported = [json.loads(line) for line in done.out.splitlines()]
    return done.status, comparable([t["record"] for t in reported if t["event"] == "record"])


def checked(lab: Lab, target: Target, ways: Sequence[str]) -> Said:
    """Who checked → what was reported of one and the same target.

    It is not paused: what is wrong in memory that stands still could be on its way from a migration, and
    is believed only after ten seconds.
    """
    return {"monitor": by_the_monitor(lab, target), **{way: by_dom0(lab, target, way) for way in ways}}


@pytest.fixture(scope="module")
def clean(lab: Lab, target: Target) -> Said:
    return checked(lab, target, WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_a_clean_target(clean: Said, way: str) -> None:
    assert clean["monitor"][0] == 0, clean
    assert clean[way] == clean["monitor"]


def test_a_tampered_target(lab: Lab, target: Target, profiles: ProfileFile, clean: Said) -> None:
    kernel = next(record for record in clean["monitor"][1] if record["type"] == "kernel")
    undo = change(TAMPER).apply(LiveGuest(target, kernel, profiles))
    try:
        said = checked(lab, target, ["--batched"])
    finally:
        undo()
    assert said["monitor"][0] == 5, said
    assert {r["check"] for r in said["monitor"][1] if r["type"] == "finding"} == {"syscall-table", "rodata"}
    assert said["--batched"] == said["monitor"]


@pytest.mark.parametrize(("arguments", "status"), [(["0"], 2), (["x"], 2), ([], 2), (["999"], 4)])
def test_what_is_no_target(lab: Lab, arguments: list[str], status: int) -> None:
    assert lab.run([DOM0, *arguments]).status == status
