"""Scans in slices: looks go on while they rest, and what they tell comes within the documented bound."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.tamper import change
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.verdict.collector import ScanDone
from tinyvmi_build.verdict.model import Verdict
from tinyvmi_build.verdict.rhythm import BY_TARGET, UNLOOKED
from tinyvmi_build.xen.patience import timeout

from .test_look import CONSOLE_S
from .watching import LEGITIMATE, Watch

PERIOD_S = 40
WRITES = 8

pytestmark = pytest.mark.long


@pytest.fixture
def sliced(lab: Lab, poked: Target, profiles: ProfileFile) -> Iterator[Watch]:
    """Its scans take half a period."""
    watch = Watch(lab, poked, profiles, "sliced", f"{PERIOD_S}s")
    yield watch
    watch.monitor.stop()


def _in_a_scan(watch: Watch, after_s: float) -> int:
    """Wait until a scan rests, so long after its begin; scans that were done then."""
    done = watch.monitor.until(
        lambda event: event if isinstance(event, ScanDone) else None, 2 * PERIOD_S, "a scan"
    )
    watch.monitor.listen(
        PERIOD_S / 2 + after_s
    )  # it began half a period ago and was the last of nothing else
    assert watch.monitor.scans == done.scan
    return done.scan


def test_a_scan_takes_half_a_period(sliced: Watch) -> None:
    """From the second on; and that is what launch says."""
    assert sliced.monitor.worst is not None and sliced.monitor.worst.scan_s == PERIOD_S / 2
    began = time.monotonic()  # the first scan has just ended, and did not rest
    sliced.monitor.until(lambda event: isinstance(event, ScanDone) or None, 2 * PERIOD_S, "a scan")
    took = time.monotonic() - began
    print(f"the second scan was over {took:.1f} s after the first: a period of {PERIOD_S} s and half of one")
    assert 1.2 * PERIOD_S < took < 1.8 * PERIOD_S


def test_legitimate_changes_in_the_middle_of_scans(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    """Ten scans find nothing while the target changes its code."""
    watch = Watch(lab, poked, profiles, "sliced", "2s")
    try:
        scans = watch.monitor.scans
        watch.begin()
        while watch.monitor.scans < scans + 10:
            for command in LEGITIMATE:
                poked.run(command).check()
            watch.quiet(0.1)
        watch.quiet(0)
    finally:
        watch.monitor.stop()


@pytest.mark.parametrize("check", ["text", "rodata"])
def test_writes_while_a_scan_rests(sliced: Watch, check: str) -> None:
    """Under load, each is told within the bound; the verdict changes, and the count of scans does not."""
    at = sliced.place(check)
    done = _in_a_scan(sliced, 1)
    sliced.target.run("(while :; do :; done) > /dev/null 2>&1 & echo $! > /tmp/busy").check()
    try:
        told = sliced.drive("wp", at, WRITES)
    finally:
        sliced.target.run("kill $(cat /tmp/busy)").check()
    bound = sliced.worst(BY_TARGET)
    took = sorted(round(each["told"], 3) for each in told)
    print(f"{check}: told after {took} s, at the latest {bound:.3f} s were said")
    assert {each["finding"]["scan"] for each in told} == {done}, "the scan was over before the writes were"
    assert took[-1] < bound + timeout(CONSOLE_S)


def test_what_has_no_looks_waits_for_the_end_of_the_scan(sliced: Watch) -> None:
    tamper = change("syscall-table-getdents64")
    _in_a_scan(sliced, 1)
    sliced.monitor.begin()
    undo = tamper.apply(sliced.guest)
    try:
        took = sliced.until(Verdict.TAMPERED, 2 * PERIOD_S)
    finally:
        undo()
    bound = sliced.worst(UNLOOKED)
    print(f"told after {took:.1f} s, at the latest {bound:.1f} s were said")
    assert {finding["check"] for finding in sliced.monitor.findings} == {"syscall-table"}
    assert took < bound + timeout(CONSOLE_S)
