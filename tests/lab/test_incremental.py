"""Incremental checks: what the target writes to its kernel is reported at once, what it may do is not.

The monitors here scan so seldom that an incremental check reports whatever is reported within a
test.  The bench measures how long that takes; asserted is a bound that holds on a busy machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from tests.lab.watching import CONSOLE_S, LEGITIMATE, TRACING, Watch
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.lab.code_writes import write
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.events import ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.latency import BY_TARGET
from tinyvmi_build.timeouts import timeout

SOON_S = 5.0  # an incremental check, on a machine on which much else runs
ALL_TRACED = TRACING + "echo function > current_tracer; sleep 2; echo nop > current_tracer; sleep 1"


@pytest.fixture(scope="module", params=["bytes", "digest"])
def watch(lab: Lab, poked: Target, profiles: ProfileFile, request: pytest.FixtureRequest) -> Iterator[Watch]:
    watch = Watch(lab, poked, profiles, request.param)
    yield watch
    watch.monitor.stop()


def test_it_says_that_writes_are_tracked(watch: Watch) -> None:
    """All of the kernel's code and constants: the frames from _text to the end of rodata."""
    golden = watch.guest.profile.golden(RodataGolden)
    pages = -(-(golden.va + golden.size - watch.guest.profile.text_va) // 4096)
    assert watch.monitor.tracking == {"type": "tracking", "frames": pages}


USUAL = {("text", "wp"), ("rodata", "vmap"), ("text", "frame")}


@pytest.mark.parametrize(
    ("check", "how"),
    [
        pytest.param(check, how, marks=[] if (check, how) in USUAL else [pytest.mark.long])
        for check in ("text", "rodata")
        for how in ("wp", "vmap", "frame")
    ],
)
def test_a_write_by_the_target_is_reported(watch: Watch, check: str, how: str) -> None:
    """Through the read-only mapping, through another one, into another frame: what is there counts."""
    scans = watch.monitor.scans
    reported = watch.drive(how, watch.site(check), 2)
    assert max(each.reported_s for each in reported) < timeout(SOON_S)
    watch.counted(scans + 4)  # each change of the verdict counts as one; no scan was due


@pytest.mark.long
@pytest.mark.parametrize("check", ["text", "rodata"])
def test_how_long_it_takes(lab: Lab, watch: Watch, check: str) -> None:
    """Many writes, at moments that have nothing to do with the incremental checks."""
    if watch.name == "digest":
        pytest.skip("a page that was written is digested in both")
    reported = sorted(round(each.reported_s * 1000) for each in watch.drive("wp", watch.site(check), 50))
    median = statistics.median(reported)
    print(f"{check}: median {median} ms, 90 % {reported[44]} ms, max {reported[-1]} ms: {reported}")
    assert statistics.median(reported) < timeout(1.0) * 1000
    assert reported[-1] < (watch.worst(BY_TARGET) + timeout(CONSOLE_S)) * 1000


def test_what_an_administrator_does_is_let_pass(watch: Watch) -> None:
    watch.begin()
    for command in LEGITIMATE:
        watch.target.run(command).check()
    watch.quiet(1)


@pytest.mark.long
def test_all_functions_traced(watch: Watch) -> None:
    """Tens of thousands of places are patched, over many incremental checks."""
    watch.begin()
    watch.target.run(
        f"rm -f /tmp/traced; ({ALL_TRACED}; touch /tmp/traced) > /dev/null 2>&1 & sleep 0"
    ).check()
    deadline = time.monotonic() + timeout(120)
    while watch.target.run("test -e /tmp/traced").status:
        assert time.monotonic() < deadline
        watch.quiet(1)
    watch.quiet(1)


def test_what_dom0_writes_is_no_write_of_the_target(watch: Watch) -> None:
    """Tracking cannot see it; with copies, incremental checks compare every page in turn."""
    at = watch.site("text")
    scans = watch.monitor.scans
    watch.monitor.begin()
    watch.guest.write(at.address - watch.guest.delta, at.bad)
    try:
        if watch.name == "digest":
            watch.quiet(2)
        else:
            watch.until(Verdict.TAMPERED, 30)
            watch.counted(scans + 1)
    finally:
        watch.guest.write(at.address - watch.guest.delta, at.good)
    if watch.name == "bytes":
        write(watch.target, "vmap", at, at.good)  # has it looked at again at once
    watch.until(Verdict.INTACT, 60)


@pytest.mark.long
def test_what_dom0_writes_is_reported_by_the_next_scan(
    lab: Lab, poked: Target, profiles: ProfileFile
) -> None:
    watch = Watch(lab, poked, profiles, "small", "10s")
    try:
        at = watch.site("rodata")
        watch.monitor.until(lambda event: isinstance(event, ScanDone) or None, 60, "a scan")
        watch.monitor.begin()
        watch.guest.write(at.address - watch.guest.delta, at.bad)
        watch.quiet(2)
        assert watch.until(Verdict.TAMPERED, 30) > 1
        watch.guest.write(at.address - watch.guest.delta, at.good)
        watch.until(Verdict.INTACT, 60)
    finally:
        watch.monitor.stop()
