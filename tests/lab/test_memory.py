"""Monitors in little memory: what is said when it is too little, and how little will do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.code_writes import ALSO, folder_of
from tests.lab.watching import Watch
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.timeouts import timeout

LITTLE_MIB = 16


def give(lab: Lab, name: str, mib: int) -> int:
    """Let the monitor's domain have so much from its next start on; what it had before, MiB."""
    config = f"{folder_of(name)}/tinyvmi-incremental-{name}.cfg"
    before = lab.run(["sed", "-n", "s/^memory = //p", config]).check().out
    change = f"s/^(memory|maxmem) = .*/\\1 = {mib}/"
    lab.run(["sed", "-i", "-E", change, config]).check()
    return int(before)


def scanned(lab: Lab, target: Target, name: str, scans: int = 2) -> tuple[int, list[dict[str, Any]]]:
    """launch's exit status after so many scans, and what it said."""
    argv = ["tinyvmi-build", "launch", folder_of(name), "--target", target.name, "--json"]
    done = lab.run([*argv, "--scans", str(scans), "--period", "10ms", "--timeout", "60s"], timeout(90))
    return done.status, [json.loads(line) for line in done.out.splitlines()]


def reported(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    records = [event["record"] for event in events if event["event"] == "record"]
    return [record for record in records if record["type"] == kind]


def test_too_little_memory_is_reported(lab: Lab, poked: Target) -> None:
    """As much as pages have no copies of is said, once, and the verdict is as good."""
    usual = give(lab, "bytes", LITTLE_MIB)
    try:
        status, events = scanned(lab, poked, "bytes")
    finally:
        give(lab, "bytes", usual)
    (memory,) = reported(events, "memory")
    print(f"in {LITTLE_MIB} MiB: {memory}")
    assert memory["digested"] > 0
    assert events[-1]["digested"] == memory["digested"]
    assert (status, events[-1]["verdict"], events[-1]["scans"]) == (0, "intact", 2)
    rows = [row["change"] for row in events[-1]["worst_times"]["rows"]]
    assert any("`digest`" in change for change in rows), rows


def _least(lab: Lab, target: Target, name: str, most: int) -> int:
    """MiB of the smallest domain that scans twice, intact, and has no want of memory for copies."""
    low, high = 3, give(lab, name, most)  # the first does not do, the second does
    try:
        while high - low > 1:
            middle = (low + high) // 2
            give(lab, name, middle)
            status, events = scanned(lab, target, name)
            low, high = (low, middle) if status == 0 and not reported(events, "memory") else (middle, high)
    finally:
        give(lab, name, most)
    return high


@pytest.mark.long
def test_one_kernel_by_digests_in_16_mib(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    watch = Watch(lab, poked, profiles, "small")
    try:
        _finds_a_tamper(watch)
        assert watch.monitor.memory is None
    finally:
        watch.monitor.stop()
    print(f"least memory, one kernel, digest: {_least(lab, poked, 'small', LITTLE_MIB)} MiB")


@pytest.mark.long
def test_three_kernels_by_bytes_in_32_mib(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    status, events = scanned(lab, poked, "many")
    assert (status, events[-1]["scans"], reported(events, "memory")) == (0, 2, [])
    (hello,) = reported(events, "hello")
    assert len({kernel["release"] for kernel in hello["profiles"]}) == 1 + len(ALSO["many"])
    watch = Watch(lab, poked, profiles, "many")
    try:
        _finds_a_tamper(watch)
    finally:
        watch.monitor.stop()
    print(f"least memory, three kernels, bytes: {_least(lab, poked, 'many', 32)} MiB")


def _finds_a_tamper(watch: Watch) -> None:
    """The first scan was intact; a write of the target is reported, and undone it is intact again."""
    for check in ("text", "rodata"):
        watch.drive("wp", watch.site(check), 1)
    watch.until(Verdict.INTACT, 60)
