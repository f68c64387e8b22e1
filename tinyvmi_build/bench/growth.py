"""What a scan costs as the target grows: tasks, modules, memory; and with a kernel that has more code."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tinyvmi_build.bench.figures import DIGESTED, figures, pick
from tinyvmi_build.bench.lab import MONITOR, LabMeasurement, measure_in_dom0
from tinyvmi_build.bench.plan import MONITOR as MONITOR_NAME
from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import ICOUNT, Growth, Run
from tinyvmi_build.checks import registry
from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.lab.options import MachineOptions, TargetOptions
from tinyvmi_build.lab.project import loaded_project, own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import LATER_FOLDER, Target
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.progress import Progress

_TASKS = 250
#: Beside the cloud kernel, of the same version: half as much code again.
_LARGER = "linux-image-amd64"


def growth(profiles: ProfileFile, progress: Progress) -> LabMeasurement:
    """Measure the monitor alone over the target as it is, with more tasks, more modules, more memory."""
    kernel = profiles.kernels[0]

    def measure(lab: Lab, target: Target, run: Run) -> None:
        with progress.step("growth with tasks, modules, memory"):
            _measure(lab, target, run, kernel, "as it is: 256 MiB, " + _counts(target))
            target.run(
                f"i=0; while [ $i -lt {_TASKS} ]; do sleep 100000 </dev/null >/dev/null 2>&1 &"
                " i=$((i+1)); done"
            ).check()
            _measure(lab, target, run, kernel, "more tasks: " + _counts(target))
            target.run(f"for m in /{LATER_FOLDER}/*.ko; do insmod $m; done >/dev/null 2>&1", 120)
            _measure(lab, target, run, kernel, "more modules, too: " + _counts(target))
            try:
                large = lab.create_target("large", TargetOptions(memory_mib=512))
            except TinyVMIError as error:
                run.failed.append(f"a target of 512 MiB: {error.message}")
                return
            _measure(lab, large, run, kernel, "512 MiB, " + _counts(large))
            large.destroy()

    return measure


def _counts(target: Target) -> str:
    printed = target.run("ls -d /proc/[0-9]* | wc -l; wc -l < /proc/modules").check().out
    tasks, modules = re.findall(r"^\s*(\d+)\s*$", printed, re.MULTILINE)[:2]
    return f"{tasks} tasks, {modules} modules"


def _measure(lab: Lab, target: Target, run: Run, kernel: KernelProfile, what: str) -> None:
    """Measure the monitor over `target` and add a row, called `what`, to the run."""
    measured = measure_in_dom0(lab, Plan(target.name, MONITOR, rounds=1, scans=4))
    found = figures(measured)

    def median(check: str) -> float | None:
        figure = pick(found, MONITOR_NAME, check)
        return figure.ns.median if figure else None

    both, everything = pick(found, MONITOR_NAME, DIGESTED), median("all checks")
    if both is None or everything is None:
        run.failed.append(f"growth, {what}: {'; '.join(measured.failed) or 'not measured'}")
        return
    run.growth.append(
        Growth(
            what,
            sorted(measured.verdicts),
            paged_ns=both.ns.median,
            all_ns=everything,
            find_us=(measured.find_us.get(MONITOR_NAME) or [0])[-1],
            pages=both.pages,
            sites=registry.patch_sites(kernel),
            checks_ns={name: ns for name in registry.growing() if (ns := median(name)) is not None},
        )
    )


def larger_kernel(run: Run, progress: Progress) -> None:
    """Boot a target with a kernel that has more code, and put its row beside the others in `run`."""
    package = fetch_kernel(_LARGER, progress=progress)
    with progress.step("growth with a larger kernel"), tempfile.TemporaryDirectory() as name:
        try:
            loaded = loaded_project(own_project(progress), (f'kernel.packages=["{package}"]',), progress)
            built = build_monitor(loaded, progress, Path(name) / "build")
            kernel = ProfileFile.load(built.profile).kernels[0]
            files = monitor_files(built, MONITOR)
            with Lab(
                files, MachineOptions(target_kernel=package, icount=run.clock == ICOUNT), progress
            ) as lab:
                target = lab.create_target()
                _measure(lab, target, run, kernel, f"kernel {kernel.release}: " + _counts(target))
        except (TinyVMIError, TimeoutError) as error:
            run.failed.append(f"a larger kernel: {error}")
            progress.warn(run.failed[-1])
