"""How much work in the target slows down beside a monitor."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tinyvmi_build.bench.lab import MONITOR, LabMeasurement
from tinyvmi_build.bench.plan import STEADY
from tinyvmi_build.bench.quiet import QuietReporter
from tinyvmi_build.bench.result import ICOUNT, Run, Slowdown
from tinyvmi_build.bench.statistics import spread
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.monitor import Monitor
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.paths import data_dir
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.events import Event, ScanDone

WORK = "bench/work"  # in the target
#: Workload → its pieces, so that each takes about a second: of counted instructions, and of emulation.
#: A new process flushes much, which takes an emulator far longer than its count of instructions.
WORKLOADS = {"cpu": (250, 250), "memory": (90, 90), "fork": (2500, 250)}
PERIODS_MS = (0, 10_000, 1_000, 100)  # 0: no monitor
#: Modules that any machine can load, beside those that the lab's target has loaded.
MODULES = (
    "dummy", "tun", "tap?", "bonding", "macvlan", "vxlan", "8021q?", "bridge", "br_netfilter",
    "loop?", "nbd?", "dm_mod", "dm_snapshot", "dm_crypt?", "raid0", "raid1", "raid10", "xfs",
    "fuse?", "overlay", "isofs", "squashfs", "sch_htb", "sch_fq",
)  # fmt: skip


def work_program(folder: Path) -> Path:
    """minios_app/bench/work.c, linked statically."""
    program = folder / "work"
    source = data_dir("minios_app") / "bench/work.c"
    argv = ["gcc", "-O2", "-Wall", "-static", "-o", str(program), str(source)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingEnvironmentError(f"the workloads do not compile: {done.stderr.strip()[-500:]}")
    return program


def slowdown(rounds: int, progress: Progress) -> LabMeasurement:
    """Measure fixed work in the target, with no monitor and at three periods, in turn."""

    def measure(lab: Lab, target: Target, run: Run) -> None:
        found: dict[tuple[str, int], list[float]] = {}
        try:
            with progress.step(f"slow-down of work in the target, {rounds} rounds"):
                for number in range(rounds):
                    at = number % len(PERIODS_MS)
                    for period in PERIODS_MS[at:] + PERIODS_MS[:at]:
                        for workload, seconds in _worked(lab, target, period, run.clock == ICOUNT).items():
                            found.setdefault((workload, period), []).append(seconds)
        finally:
            for (workload, period), values in found.items():
                summary = spread(values)
                assert summary is not None
                run.slowdown.append(Slowdown(workload, period, summary))

    return measure


def _steady(event: Event) -> Event | None:
    return event if isinstance(event, ScanDone) and event.scan > STEADY else None


def _worked(lab: Lab, target: Target, period_ms: int, counted: bool) -> dict[str, float]:
    """Workload → s."""
    monitor = None
    if period_ms:
        monitor = Monitor(lab, target, QuietReporter(), folder=MONITOR, period=f"{period_ms}ms")
        monitor.until(_steady, 180, "its third scan")
    found = {}
    try:
        for workload, sizes in WORKLOADS.items():
            pieces = sizes[0 if counted else 1]
            printed = target.run(f"/{WORK} {workload} {pieces}", 120).check().out
            number = re.search(r"^(\d+)$", printed, re.MULTILINE)
            if number is None:
                raise MissingEnvironmentError(f"the workload {workload} printed {printed.strip()[-200:]!r}")
            found[workload] = int(number[1]) / 1e6
    finally:
        if monitor is not None:
            monitor.stop()
    return found
