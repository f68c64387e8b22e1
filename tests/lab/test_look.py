"""Looks between scans: what the target writes to its own kernel is told at once, and what it may do is not.

The monitors here scan so seldom that whatever they tell within a test, a look has told.  How long that takes
is measured by the bench; a bound that holds on a busy machine is all that is asserted.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.verdict.collector import ScanDone
from tinyvmi_build.verdict.explain import Explainer
from tinyvmi_build.verdict.model import Verdict
from tinyvmi_build.verdict.report import Terminal
from tinyvmi_build.xen.patience import timeout

from .poking import MODULE, Place, domain_of, drive, folder_of, place, write

SELDOM = "600s"
SOON_S = 5.0  # a look, on a machine on which much else runs
TRACING = "cd /sys/kernel/tracing; "
#: What a target's administrator does, over five seconds of looks and more.
LEGITIMATE = (
    "sysctl -w kernel.sched_schedstats=1; sleep 1; sysctl -w kernel.sched_schedstats=0; sleep 1",
    TRACING + "echo 'vfs_*' > set_ftrace_filter; echo function > current_tracer; sleep 1; "
    "echo nop > current_tracer; echo > set_ftrace_filter; sleep 1",
    "insmod /lib/later/dummy.ko; sleep 1; rmmod dummy; sleep 1",
)
ALL_TRACED = TRACING + "echo function > current_tracer; sleep 2; echo nop > current_tracer; sleep 1"


@pytest.fixture(scope="module")
def poked(target: Target) -> Iterator[Target]:
    """The target, with the module by which it writes."""
    target.run(f"insmod /{MODULE}").check()
    target.run("grep -q tracefs /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing").check()
    yield target
    target.run("rmmod poke").check()


class Watch:
    """Monitor `name`, its first scan done and intact, and the target's memory as dom0 sees it."""

    def __init__(self, lab: Lab, target: Target, profiles: ProfileFile, name: str, period: str = SELDOM):
        self.lab, self.target, self.name = lab, target, name
        report = Terminal(sys.stdout, Explainer(profiles))
        self.monitor = Monitor(
            lab, target, report, folder=folder_of(name), period=period, domain=domain_of(name)
        )
        kernel = self.monitor.wait_kernel()
        self.monitor.until(lambda event: isinstance(event, ScanDone) or None, 120, "a scan")
        assert self.monitor.verdict is Verdict.INTACT, self.monitor.findings
        self.guest = LiveGuest(target, kernel, profiles)

    def place(self, check: str) -> Place:
        return place(self.guest, check)

    def drive(self, how: str, at: Place, count: int) -> list[dict[str, Any]]:
        """`count` writes by the target, each told by a look, and undone."""
        told = drive(self.lab, self.target, self.name, how, at, count)
        assert len(told) == count
        for each in told:
            found = each["finding"]
            bytes_there = bytes.fromhex(found["actual"])[at.address - int(found["address"], 16) :]
            assert (found["check"], bytes_there[: len(at.bad)]) == (at.check, at.bad), found
        return told

    def until(self, verdict: Verdict, seconds: float) -> float:
        """Wait for it; how long it took, s."""
        start = time.monotonic()
        while self.monitor.verdict is not verdict:
            assert time.monotonic() - start < timeout(seconds), f"not {verdict} after {seconds} s"
            self.monitor.listen(0.1)
        return time.monotonic() - start

    def counted(self, scans: int) -> None:
        """Wait until it has counted so many scans; it must not count more."""
        start = time.monotonic()
        while self.monitor.scans < scans:
            assert time.monotonic() - start < timeout(10), f"{self.monitor.scans} scans, not {scans}"
            self.monitor.listen(0.1)
        assert self.monitor.scans == scans

    def quiet(self, seconds: float) -> None:
        """It goes on finding nothing."""
        self.monitor.begin()
        self.monitor.listen(seconds)
        assert (self.monitor.findings, self.monitor.verdict) == ([], Verdict.INTACT)


@pytest.fixture(scope="module", params=["bytes", "digest"])
def watch(lab: Lab, poked: Target, profiles: ProfileFile, request: pytest.FixtureRequest) -> Iterator[Watch]:
    watch = Watch(lab, poked, profiles, request.param)
    yield watch
    watch.monitor.stop()


def test_it_says_that_writes_are_tracked(watch: Watch) -> None:
    """All of the kernel's code and constants: the frames from _text to the end of rodata."""
    golden = watch.guest.profile.golden["rodata"]
    pages = -(-(golden["va"] + golden["size"] - watch.guest.profile.text_va) // 4096)
    assert watch.monitor.tracking == {"t": "tracking", "frames": pages}


USUAL = {("text", "wp"), ("rodata", "vmap")}


@pytest.mark.parametrize(
    ("check", "how"),
    [
        pytest.param(check, how, marks=[] if (check, how) in USUAL else [pytest.mark.long])
        for check in ("text", "rodata")
        for how in ("wp", "vmap")
    ],
)
def test_a_write_by_the_target_is_told(watch: Watch, check: str, how: str) -> None:
    """Through the read-only mapping and through another one: the frame is what is tracked."""
    scans = watch.monitor.scans
    told = watch.drive(how, watch.place(check), 2)
    assert max(each["told"] for each in told) < timeout(SOON_S)
    watch.counted(scans + 4)  # each change of the verdict counts as one; no scan was due


@pytest.mark.long
@pytest.mark.parametrize("check", ["text", "rodata"])
def test_how_long_it_takes(lab: Lab, watch: Watch, check: str) -> None:
    """Many writes, at moments that have nothing to do with the looks."""
    if watch.name == "digest":
        pytest.skip("a page that was written is digested in both")
    told = sorted(round(each["told"] * 1000) for each in watch.drive("wp", watch.place(check), 50))
    print(f"{check}: median {statistics.median(told)} ms, 90 % {told[44]} ms, max {told[-1]} ms: {told}")
    assert statistics.median(told) < timeout(1.0) * 1000


def test_what_an_administrator_does_is_let_pass(watch: Watch) -> None:
    watch.quiet(0)
    for command in LEGITIMATE:
        watch.target.run(command).check()
    watch.quiet(1)


@pytest.mark.long
def test_all_functions_traced(watch: Watch) -> None:
    """Tens of thousands of places are patched, over many looks."""
    watch.quiet(0)
    watch.target.run(
        f"rm -f /tmp/traced; ({ALL_TRACED}; touch /tmp/traced) > /dev/null 2>&1 & sleep 0"
    ).check()
    deadline = time.monotonic() + timeout(120)
    while watch.target.run("test -e /tmp/traced").status:
        assert time.monotonic() < deadline
        watch.quiet(1)
    watch.quiet(1)


def test_what_dom0_writes_is_no_write_of_the_target(watch: Watch) -> None:
    """Tracking cannot see it; with copies, looks compare every page in turn, within TV_KEPT_TURNS looks."""
    at = watch.place("text")
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
def test_what_dom0_writes_is_told_by_the_next_scan(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    watch = Watch(lab, poked, profiles, "digest", "10s")
    try:
        at = watch.place("rodata")
        watch.monitor.until(lambda event: isinstance(event, ScanDone) or None, 60, "a scan")
        watch.monitor.begin()
        watch.guest.write(at.address - watch.guest.delta, at.bad)
        watch.quiet(2)
        assert watch.until(Verdict.TAMPERED, 30) > 1
        watch.guest.write(at.address - watch.guest.delta, at.good)
        watch.until(Verdict.INTACT, 60)
    finally:
        watch.monitor.stop()


def _used_s(lab: Lab, name: str) -> float:
    """Processor time that the monitor's domain has used."""
    listed = lab.run(["xl", "vcpu-list", domain_of(name)]).check().out.splitlines()[-1]
    match = re.search(r" (\d+\.\d) ", listed)
    assert match, listed
    return float(match[1])


@pytest.mark.long
def test_without_looks(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    """A monitor that sleeps uses no processor time, and knows nothing until its next scan."""
    watch = Watch(lab, poked, profiles, "blind")
    try:
        assert watch.monitor.tracking is None
        at = watch.place("text")
        write(poked, "wp", at, at.bad)
        before = _used_s(lab, "blind")
        watch.quiet(10)
        used = _used_s(lab, "blind") - before
        write(poked, "wp", at, at.good)
        print(f"a sleeping monitor used {used:.1f} s of 10")
        assert used <= 0.2
    finally:
        watch.monitor.stop()


@pytest.mark.long
def test_a_scan_in_slices(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    """Ten scans find nothing while the target changes its code legitimately in the middle of them."""
    watch = Watch(lab, poked, profiles, "sliced", "2s")
    try:
        scans = watch.monitor.scans
        watch.monitor.begin()
        while watch.monitor.scans < scans + 10:
            for command in LEGITIMATE:
                poked.run(command).check()
        watch.quiet(0)
    finally:
        watch.monitor.stop()


@pytest.mark.long
def test_a_write_while_a_scan_rests(lab: Lab, poked: Target, profiles: ProfileFile) -> None:
    """Told before the scan ends: the verdict changes, and the count of scans does not."""
    watch = Watch(lab, poked, profiles, "sliced", "30s")
    try:
        done = watch.monitor.until(lambda event: event if isinstance(event, ScanDone) else None, 90, "a scan")
        at = watch.place("text")
        watch.monitor.listen(20)  # the next scan begins 15 s after the end of this one, and takes as long
        assert watch.monitor.scans == done.scan
        told = watch.drive("wp", at, 1)
        assert told[0]["finding"]["scan"] == done.scan
        assert told[0]["told"] < timeout(SOON_S)
    finally:
        watch.monitor.stop()
