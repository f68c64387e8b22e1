"""How long it takes from a target's own write to its kernel to the finding's record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.bench.lab import LabMeasurement
from tinyvmi_build.bench.quiet import QuietReporter
from tinyvmi_build.bench.result import Run
from tinyvmi_build.bench.statistics import spread
from tinyvmi_build.checks import registry
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.lab.code_writes import MODULE, drive, poke_module, site
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.project import kernel_to_boot, loaded_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.events import ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.render.plan import artifact

_FOLDER = "/lab/monitor-written"  # in dom0
_PERIOD = "600s"  # so long that incremental checks alone report


@dataclass(frozen=True)
class Writing:
    """The module by which the target writes, and a monitor that knows it."""

    built: BuildResult
    domain: str
    module: Path

    def dom0_files(self) -> dict[str, Path | bytes]:
        return dict(monitor_files(self.built, _FOLDER))

    def guest_files(self) -> dict[str, Path | bytes]:
        return {MODULE: self.module}


def prepare_writing(project: Path | None, sets: tuple[str, ...], folder: Path, progress: Progress) -> Writing:
    """Build both, the monitor in `folder`; MissingEnvironmentError if the kernel's module cannot be built."""
    loaded = loaded_project(project, sets, progress)
    kernel = kernel_to_boot(loaded)
    if kernel is None or kernel.suffix != ".deb":
        raise MissingEnvironmentError("a module is built for kernels of Debian's packages only")
    with progress.step("build the module by which the target writes"):
        module = poke_module(kernel)
    modules = [str(path) for path in (*loaded.config.kernel.modules, module)]
    known = loaded_project(project, (*sets, f"kernel.modules={json.dumps(modules)}"), progress)
    return Writing(build_monitor(known, progress, folder), artifact(known.config), module)


def write_latency(writing: Writing, times: int, progress: Progress) -> LabMeasurement:
    """Measure `times` writes to what each incremental check reads; each is reported and undone."""

    def measure(lab: Lab, target: Target, run: Run) -> None:
        target.run(f"insmod /{MODULE}").check()
        quiet = QuietReporter()
        monitor = Monitor(lab, target, quiet, folder=_FOLDER, period=_PERIOD, domain=writing.domain)
        try:
            kernel = monitor.wait_kernel()
            done = monitor.until(lambda event: event if isinstance(event, ScanDone) else None, 120, "a scan")
            if done.verdict is not Verdict.INTACT:
                raise MissingEnvironmentError(f"the target is {done.verdict} before anything is written")
            guest = LiveGuest(target, kernel, ProfileFile.load(writing.built.profile))
            for check in (check.name for check in registry.incremental()):
                with progress.step(f"time {times} writes by the target, {check}"):
                    reports = drive(lab, target, writing.domain, "wp", site(guest, check), times)
                wrong = {one.finding["check"] for one in reports} - {check}
                summary = spread(1000 * one.reported_s for one in reports)
                if wrong or summary is None or summary.n != times:
                    others = f"; findings of {', '.join(sorted(wrong))}" if wrong else ""
                    raise MissingEnvironmentError(
                        f"of {times} writes to {check}, {len(reports)} were reported{others}"
                    )
                run.write_latency_ms[check] = summary
        finally:
            monitor.stop()
            target.run("rmmod poke").check()

    return measure
