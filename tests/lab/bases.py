"""The same monitor on two bases in one lab: run, compared, measured.

TINYVMI_MINIOS_TREE=TREE python -m tests.lab.bases      prints the figures of docs/results/measured.md
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.image.inspect import inspect
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.progress import Progress

VARIABLE = "TINYVMI_MINIOS_TREE"
BASES = ("built-in", "mini-os")
# What two runs of one monitor may differ in: times, and who it is.
_OWN = {"duration_us", "uptime_ms", "image", "nonce", "base", "base_rev", "digest"}


def tree() -> Path | None:
    """The tree that the environment names."""
    return Path(os.environ[VARIABLE]).resolve() if os.environ.get(VARIABLE) else None


def projects(root: Path | None, *sets: str) -> dict[str, Loaded]:
    """The lab's own project on the built-in base and, if there is one, on the tree `root`."""
    project = own_project(Progress(quiet=True))
    trees = {"built-in": "built-in"} | ({"mini-os": str(root)} if root else {})
    return {base: load(project, [f"minios.tree={where}", *sets], env={}) for base, where in trees.items()}


def build_both(root: Path, folder: Path) -> dict[str, BuildResult]:
    """The lab's own monitor on the built-in base and on the tree `root`."""
    return {base: build_monitor(one, folder=folder / base) for base, one in projects(root).items()}


def folders(built: dict[str, BuildResult]) -> dict[str, Path | bytes]:
    """All monitors' folders, /lab/BASE, as files for a lab."""
    found: dict[str, Path | bytes] = {}
    for base, one in built.items():
        found |= monitor_files(one, f"/lab/{base}")
    return found


@contextmanager
def both_in_a_lab(built: dict[str, BuildResult]) -> Iterator[tuple[Lab, Target]]:
    """A lab with a target and both monitors' folders, /lab/BASE."""
    with Lab(folders(built)) as lab:
        yield lab, lab.create_target()


def launch(lab: Lab, base: str, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """(exit status, records) of a whole run; AssertionError if the stream was broken."""
    result = lab.run(["tinyvmi-build", "launch", f"/lab/{base}", "--json", *options], 300)
    reported = [json.loads(line) for line in result.out.splitlines()]
    assert not [t for t in reported if t["event"] in ("broken", "lost")], result
    records = [t for t in reported if t["event"] == "record"]
    assert [r["seq"] for r in records] == list(range(len(records))), result
    return result.status, [r["record"] for r in records]


def comparable(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what depends on time: values, and that a search took so long that it was said."""
    return [
        {name: value for name, value in record.items() if name not in _OWN}
        for record in records
        if record.get("reason") != "the target's memory is being searched"
    ]


def _measure(lab: Lab, runs: int = 4, scans: int = 5) -> dict[str, dict[str, float]]:
    """The least time over alternating runs, ms: to find the kernel, of the first scan, of a later one."""
    seen: dict[str, dict[str, list[float]]] = {base: {} for base in BASES}
    for _ in range(runs):
        for base in BASES:
            status, records = launch(lab, base, "--scans", str(scans), "--period", "10ms")
            assert status == 0, records
            beats = [r["uptime_ms"] for r in records if r["type"] == "heartbeat"]
            take = {
                "find": [r["duration_us"] / 1000 for r in records if r["type"] == "kernel"],
                "first": [sum(r["duration_us"] for r in records if r["type"] == "check") / 1000],
                "scan": [b - a for a, b in zip(beats, beats[1:], strict=False)],
            }
            for name, values in take.items():
                seen[base].setdefault(name, []).extend(values)
    return {base: {n: min(v) for n, v in values.items()} for base, values in seen.items()}


def _least_memory(lab: Lab, base: str) -> str:
    """The smallest of some sizes in which a scan is intact."""
    for mib in (3, 4, 5, 6, 8, 12, 16, 32):
        change = f"sed -i -E 's/^(memory|maxmem) = .*/\\1 = {mib}/' /lab/{base}/*.cfg"
        lab.run(["sh", "-c", change]).check()
        try:
            if launch(lab, base, "--scans", "1")[0] == 0:
                return f"{mib} MiB"
        except AssertionError:  # it died of it
            continue
    return "more than 32 MiB"


def main() -> None:
    root = tree()
    if root is None:
        sys.exit(f"{VARIABLE} names no tree")
    with tempfile.TemporaryDirectory() as folder:
        built = build_both(root, Path(folder))
        for base, result in built.items():
            image = inspect(result.image)
            code = sum(s.size for s in image.sections if "x" in s.flags)
            sizes = f"gz {image.file_size} ELF {image.elf_size} in memory {image.memory_size}"
            print(f"{base}: {sizes} executable {code}")
        with both_in_a_lab(built) as (lab, _):
            for base, values in _measure(lab).items():
                print(base, {name: round(value, 1) for name, value in values.items()})
            for base in BASES:
                print(base, "least memory", _least_memory(lab, base))


if __name__ == "__main__":
    main()
