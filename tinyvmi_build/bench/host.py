"""The same comparison on a real Xen host, where this runs in its dom0."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyvmi_build import __version__
from tinyvmi_build.bench import machine
from tinyvmi_build.bench.dom0_side import Bench
from tinyvmi_build.bench.lab import programs
from tinyvmi_build.bench.libvmi import reader
from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import HOST, Result, Run
from tinyvmi_build.bench.run import finish
from tinyvmi_build.bench.samples import Told
from tinyvmi_build.config.load import load
from tinyvmi_build.progress import Progress
from tinyvmi_build.xen import xl

_ABSENT = (
    "detection latency and growth: they need a target that is changed",
    "slow-down of the target: it has no agent of ours; time your own work there with and without `launch`",
    "sizes of this dom0",
)


def measure_host(
    project: Path | None,
    sets: tuple[str, ...],
    *,
    target: str,
    rounds: int,
    scans: int,
    libvmi: Path | None,
    pause: bool,
    command: str,
    progress: Progress,
) -> Result:
    """Compare over the running domain `target`; MissingEnvironmentError where there is no Xen."""
    xl.require_dom0()
    loaded = load(project, sets)
    digests = None
    if loaded.config.golden.comparison != "digest":
        digests = load(project, (*sets, "golden.comparison=digest"))
    what = programs(loaded, digests, progress)
    plan = Plan(
        target=target,
        monitor=str(what.built.folder),
        dom0=str(what.dom0),
        limit=str(what.limit),
        digest_monitor=str(what.digest[0].folder) if what.digest else "",
        digest_dom0=str(what.digest[1]) if what.digest else "",
        rounds=rounds,
        scans=scans,
        looks=40,
        pause=pause,
    )
    told = Told()

    def tell(line: dict[str, Any]) -> None:
        told.take(json.dumps(line))

    run = Run(HOST)
    with progress.step(f"compare, {rounds} rounds"), tempfile.TemporaryDirectory() as folder:
        if libvmi:
            plan = replace(plan, libvmi=str(reader(libvmi, Path(folder))))
        Bench(plan, tell).run()
    finish(run, told)
    run.kernel = str(next((k["release"] for found in told.kernels.values() for k in found), "unknown"))
    run.xen = _xen_version()
    absent = [*_ABSENT, *([] if libvmi else ["LibVMI (--libvmi names one)"])]
    return Result(command, machine.describe(), __version__, [run], absent=absent)


def _xen_version() -> str:
    found = dict(line.split(":", 1) for line in xl.xl("info").splitlines() if ":" in line)
    keys = {key.strip(): value.strip() for key, value in found.items()}
    return f"Xen {keys.get('xen_version', 'of unknown version')}"
