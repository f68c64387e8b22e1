"""How fast a running kernel is found, and checked, in the lab: `make discovery`.

    python -m tests.experiments.discovery [--runs N] [--memory MIB] [--json]

A target of 1 GiB that PVH boots where its file says, then one that GRUB boots, whose KASLR is on; over
each, new monitors one after the other.  What is reported comes from the monitor's records, but for the
times on this machine's clock, from the moment before dom0 runs `xl unpause` to a record's
arrival here, through dom0's console, launch and the lab's serial line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.monitor import FILES
from tinyvmi_build.lab.options import MachineOptions, TargetOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.progress import Progress

KINDS = {"without KASLR": "pvh", "with KASLR": "pvh-grub"}
#: Key of a run → what it is.  All but `find` count from the monitor's start.
FIGURES = {
    "find": "the search alone (`us` of the record `kernel`)",
    "scan": "first scan complete (`uptime_ms` of its heartbeat)",
    "kernel": "`xl unpause` → the record `kernel`, this machine's clock",
    "check": "`xl unpause` → the first verdict of a check, this machine's clock",
    "all": "`xl unpause` → all checks have a verdict, this machine's clock",
}
BOUNDS_MS = {"find": 300.0, "check": 2000.0}


def one_run(lab: Lab, target: str) -> dict[str, float]:
    """One monitor over `target` for one scan: its FIGURES, in ms."""
    argv = ["tinyvmi-build", "launch", FILES, "--target", target, "--scans", "1", "--json"]
    remote = lab.spawn(argv)
    found: dict[str, float] = {}
    attached = None
    for kind, line in remote.messages(120):
        if kind != "out":
            continue
        event: dict[str, Any] = json.loads(line)
        now = time.monotonic()
        if event["event"] == "attached":
            attached = now
        if event["event"] != "record" or attached is None:
            continue
        record = event["record"]
        since = (now - attached) * 1000
        if record["type"] == "kernel":
            found["find"] = record["duration_us"] / 1000
            found["kernel"] = since
        elif record["type"] == "check":
            found.setdefault("check", since)
        elif record["type"] == "heartbeat" and record["scan"] == 1:
            if record["verdict"] != "intact":
                raise SystemExit(f"the target is {record['verdict']}: {line}")
            found["scan"] = float(record["uptime_ms"])
            found["all"] = since
    if found.keys() != FIGURES.keys():
        raise SystemExit(f"a run said only {found}")
    return found


def measure(runs: int, memory_mib: int) -> dict[str, list[dict[str, float]]]:
    """Name of a target → what its runs took."""
    with tempfile.TemporaryDirectory(prefix="tinyvmi-discovery.") as folder:
        loaded = load(own_project(Progress(quiet=True)), env={})
        built = build_monitor(loaded, folder=Path(folder) / "build")
        with Lab(monitor_files(built), MachineOptions(grub=True, folder=Path(folder) / "lab")) as lab:
            result = {}
            for name, kind in KINDS.items():
                target = lab.create_target(options=TargetOptions(kind=kind, memory_mib=memory_mib))
                result[name] = [one_run(lab, target.name) for _ in range(runs)]
                target.destroy()
    return result


def summary(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB", help="of the target")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    result = measure(options.runs, options.memory)
    if options.json:
        print(json.dumps({"memory_mib": options.memory, "load": load_before, "ms": result}))
    else:
        print(f"{options.memory} MiB, {options.runs} runs each: median (least to most), in ms;")
        print(f"{os.cpu_count()} processors, load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after\n")
        print("| | " + " | ".join(result) + " |\n|---|" + "---:|" * len(result))
        for key, what in FIGURES.items():
            columns = (summary([run[key] for run in runs]) for runs in result.values())
            print(f"| {what} | " + " | ".join(columns) + " |")
    late = [
        f"{name}: {FIGURES[key]}: {statistics.median(run[key] for run in runs):.0f} ms, not {bound:.0f}"
        for name, runs in result.items()
        for key, bound in BOUNDS_MS.items()
        if statistics.median(run[key] for run in runs) > bound
    ]
    print(*late, sep="\n", end="\n" if late else "", file=sys.stderr)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
