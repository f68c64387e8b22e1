"""A monitor over a target that writes to its own kernel, and what is expected of it."""

from __future__ import annotations

import sys
import time

from tests.lab.code_writes import domain_of, folder_of
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.lab.code_writes import Site, drive, site
from tinyvmi_build.lab.dom0.drive import WriteReport
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.terminal import Terminal
from tinyvmi_build.timeouts import timeout

SELDOM = "600s"
CONSOLE_S = 0.5  # what a monitor and its target say is on the way so long, and other domains have their turn
TRACING = "cd /sys/kernel/tracing; "
#: What a target's administrator does, over five seconds of incremental checks and more.
LEGITIMATE = (
    "sysctl -w kernel.sched_schedstats=1; sleep 1; sysctl -w kernel.sched_schedstats=0; sleep 1",
    TRACING + "echo 'vfs_*' > set_ftrace_filter; echo function > current_tracer; sleep 1; "
    "echo nop > current_tracer; echo > set_ftrace_filter; sleep 1",
    "insmod /lib/later/dummy.ko; sleep 1; rmmod dummy; sleep 1",
)


class Watch:
    """Monitor `name`, its first scan done and intact, and the target's memory as dom0 sees it."""

    def __init__(self, lab: Lab, target: Target, profiles: ProfileFile, name: str, period: str = SELDOM):
        self.lab, self.target, self.name = lab, target, name
        report = Terminal(sys.stdout, Explainer(profiles))
        self.monitor = Monitor(
            lab, target, report, folder=folder_of(name), period=period, domain=domain_of(name)
        )
        kernel = self.monitor.wait_kernel()
        try:
            self.monitor.until(lambda event: self.monitor.worst, 120, "a scan")
            assert self.monitor.verdict is Verdict.INTACT, self.monitor.findings
        except BaseException:
            self.monitor.stop()
            raise
        self.scanned_at = time.monotonic()
        self.guest = LiveGuest(target, kernel, profiles)

    def site(self, check: str) -> Site:
        return site(self.guest, check)

    def drive(self, how: str, at: Site, count: int) -> list[WriteReport]:
        """`count` writes by the target, each reported by an incremental check, and undone."""
        reported = drive(self.lab, self.target, domain_of(self.name), how, at, count)
        assert len(reported) == count
        for each in reported:
            found = each.finding
            bytes_there = bytes.fromhex(found["actual"])[at.address - int(found["address"], 16) :]
            assert (found["check"], bytes_there[: len(at.bad)]) == (at.check, at.bad), found
        return reported

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

    def begin(self) -> None:
        """What is reported from now on counts; so far all is intact."""
        self.until(Verdict.INTACT, 60)
        self.monitor.begin()

    def quiet(self, seconds: float) -> None:
        """It has found nothing since begin(), and goes on so."""
        self.monitor.listen(seconds)
        assert (self.monitor.findings, self.monitor.verdict) == ([], Verdict.INTACT)

    def worst(self, change: str) -> float:
        """The worst time to detection that launch reports for such a change (report/latency.py), s."""
        assert self.monitor.worst is not None
        return next(row.seconds for row in self.monitor.worst.rows if row.change == change)
