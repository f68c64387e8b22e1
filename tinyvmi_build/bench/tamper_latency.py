"""How long it takes from dom0's write to the finding's record: the lab's side of dom0_latency.py."""

from __future__ import annotations

import json

from tinyvmi_build.bench.dom0_latency import TamperPlan
from tinyvmi_build.bench.lab import MONITOR, LabMeasurement
from tinyvmi_build.bench.quiet import QuietReporter
from tinyvmi_build.bench.result import Run
from tinyvmi_build.bench.statistics import spread
from tinyvmi_build.checks.tamper import demonstration
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress


def tamper_latency(profiles: ProfileFile, times: int, period_ms: int, progress: Progress) -> LabMeasurement:
    """Measure from dom0's write of another system call's address to the finding's record."""

    def measure(lab: Lab, target: Target, run: Run) -> None:
        monitor = Monitor(lab, target, QuietReporter(), folder=MONITOR)
        kernel = monitor.wait_kernel()
        monitor.stop()
        guest = LiveGuest(target, kernel, profiles)
        tamper = demonstration()
        assert tamper.caught_by is not None
        start = int(kernel["text_pa"], 16) - guest.profile.text_va
        plan = TamperPlan(
            monitor=MONITOR,
            target=target.name,
            period_ms=period_ms,
            times=times,
            check=tamper.caught_by,
            patches=[(start + va, data.hex()) for va, data in tamper.patches(guest)],
        )
        with progress.step(f"time {times} tampers, a scan every {period_ms} ms"):
            argv = ["python3", "-m", "tinyvmi_build.bench.dom0_latency", plan.text()]
            printed = lab.run(argv, 120 + times * 20).check().out
        run.latency_ms = spread(json.loads(line)["ms"] for line in printed.splitlines())
        run.latency_period_ms = period_ms

    return measure
