"""The same comparison on a real Xen host, where this runs in its dom0."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tinyvmi_build import __version__
from tinyvmi_build.bench import machine
from tinyvmi_build.bench.dom0_side import Bench
from tinyvmi_build.bench.lab import INCREMENTAL_CHECKS, programs
from tinyvmi_build.bench.libvmi import reader
from tinyvmi_build.bench.measurements import Measurements
from tinyvmi_build.bench.options import HostOptions
from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import HOST, Result, Run
from tinyvmi_build.bench.summary import summarize
from tinyvmi_build.config.load import load
from tinyvmi_build.progress import Progress
from tinyvmi_build.xen import xl

_ABSENT = (
    "detection latency and growth: they need a target that is changed",
    "slow-down of the target: it has no agent; time your own work there with and without `launch`",
    "sizes of this dom0",
)


def measure_host(
    project: Path | None, sets: tuple[str, ...], options: HostOptions, progress: Progress
) -> Result:
    """Compare over a running domain; MissingEnvironmentError where there is no Xen."""
    xl.require_dom0()
    loaded = load(project, sets)
    digests = None
    if loaded.config.golden.comparison != "digest":
        digests = load(project, (*sets, "golden.comparison=digest"))
    compared = programs(loaded, digests, progress)
    plan = Plan(
        target=options.target,
        monitor=str(compared.built.folder),
        dom0=str(compared.dom0),
        limit=str(compared.limit),
        digest_monitor=str(compared.digest[0].folder) if compared.digest else "",
        digest_dom0=str(compared.digest[1]) if compared.digest else "",
        rounds=options.rounds,
        scans=options.scans,
        incremental_checks=INCREMENTAL_CHECKS,
        pause=options.pause,
    )
    measured = Measurements()
    kernel = "unknown"

    def add(line: Mapping[str, object]) -> None:
        nonlocal kernel
        if line["type"] == "kernel":
            kernel = str(line["release"])
        measured.add(line)

    run = Run(HOST)
    with progress.step(f"compare, {options.rounds} rounds"), tempfile.TemporaryDirectory() as folder:
        if options.libvmi:
            plan = replace(plan, libvmi=str(reader(options.libvmi, Path(folder))))
        Bench(plan, add).run()
    summarize(run, measured)
    run.kernel = kernel
    run.xen = _xen_version()
    absent = [*_ABSENT, *([] if options.libvmi else ["LibVMI (--libvmi names one)"])]
    return Result(options.command, machine.describe(), __version__, [run], absent=absent)


def _xen_version() -> str:
    found = dict(line.split(":", 1) for line in xl.xl("info").splitlines() if ":" in line)
    keys = {key.strip(): value.strip() for key, value in found.items()}
    return f"Xen {keys.get('xen_version', 'of unknown version')}"
