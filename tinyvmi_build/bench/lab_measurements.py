"""What is measured in a lab that is up, beside the comparison: latency, slow-down."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tinyvmi_build.bench.lab import MONITOR
from tinyvmi_build.bench.plan import STEADY
from tinyvmi_build.bench.result import ICOUNT, Run
from tinyvmi_build.bench.statistics import spread
from tinyvmi_build.checks.tamper import demonstration
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.paths import data_dir
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Event, ScanDone

Extra = Callable[[Lab, Target, Run], None]

WORK = "bench/work"  # in the target
#: Workload → its pieces, so that each takes about a second: of counted instructions, and of an emulator's
#: time, of which a new process, with all that is flushed for it, takes far more than its instructions say.
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


class Silent:
    """A reporter that tells nobody."""

    def events(self, events: object) -> None:
        pass


def latency(profiles: ProfileFile, times: int, period_ms: int, progress: Progress) -> Extra:
    """From dom0's write of another system call's address to the finding's record."""

    def measure(lab: Lab, target: Target, run: Run) -> None:
        watching = Monitor(lab, target, Silent(), folder=MONITOR)
        kernel = watching.wait_kernel()
        watching.stop()
        guest = LiveGuest(target, kernel, profiles)
        tamper = demonstration()
        start = int(kernel["text_pa"], 16) - guest.profile.text_va
        wish = {
            "monitor": MONITOR, "target": target.name, "period_ms": period_ms, "times": times,
            "check": tamper.caught_by,
            "patches": [[start + va, data.hex()] for va, data in tamper.patches(guest)],
        }  # fmt: skip
        with progress.step(f"time {times} tampers, a scan every {period_ms} ms"):
            argv = ["python3", "-m", "tinyvmi_build.bench.latency", json.dumps(wish)]
            said = lab.run(argv, 120 + times * 20).check().out
        run.latency_ms = spread(json.loads(line)["ms"] for line in said.splitlines())
        run.latency_period_ms = period_ms

    return measure


def slowdown(rounds: int, progress: Progress) -> Extra:
    """Fixed work in the target, with no monitor and at three periods, in turn."""

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
                run.slowdown.append({"workload": workload, "period_ms": period, "s": asdict(summary)})

    return measure


def _steady(event: Event) -> Event | None:
    return event if isinstance(event, ScanDone) and event.scan > STEADY else None


def _worked(lab: Lab, target: Target, period_ms: int, counted: bool) -> dict[str, float]:
    """Workload → s."""
    watching = None
    if period_ms:
        watching = Monitor(lab, target, Silent(), folder=MONITOR, period=f"{period_ms}ms")
        watching.until(_steady, 180, "its third scan")
    found = {}
    try:
        for workload, sizes in WORKLOADS.items():
            pieces = sizes[0 if counted else 1]
            said = target.run(f"/{WORK} {workload} {pieces}", 120).check().out
            number = re.search(r"^(\d+)$", said, re.MULTILINE)
            if number is None:
                raise MissingEnvironmentError(f"the workload {workload} said {said.strip()[-200:]!r}")
            found[workload] = int(number[1]) / 1e6
    finally:
        if watching is not None:
            watching.stop()
    return found
