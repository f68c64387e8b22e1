"""One `tinyvmi-build bench` from beginning to end."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyvmi_build import __version__
from tinyvmi_build.bench import machine
from tinyvmi_build.bench.builds import build_times
from tinyvmi_build.bench.growth import growth, larger_kernel
from tinyvmi_build.bench.lab import LIBVMI, compare, programs
from tinyvmi_build.bench.lab_measurements import MODULES, WORK, Extra, latency, slowdown, work_program
from tinyvmi_build.bench.libvmi import reader_files
from tinyvmi_build.bench.result import ICOUNT, Result
from tinyvmi_build.bench.sizes import least_memory, sizes
from tinyvmi_build.bench.write_latency import Writing, writing, written
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.project import loaded_project
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress

_WRITES = 30  # by the target, to its code and to its constants each
_TAMPERS = 15  # by dom0
_TAMPER_PERIOD_MS = 1000
_SLOWDOWN_ROUNDS = 2
_NOT_YET = ("real hardware",)


def measure(
    project: Path | None,
    sets: tuple[str, ...],
    *,
    clocks: Sequence[str],
    rounds: int,
    scans: int,
    avx2: bool,
    quick: bool,
    libvmi: Path | None,
    keep: bool,
    command: str,
    progress: Progress,
) -> Result:
    """Build, boot once a clock, measure.  `quick`: the comparison and the sizes alone."""
    loaded = loaded_project(project, sets, progress)
    digests = None
    if loaded.config.golden.comparison != "digest":
        digests = loaded_project(project, (*sets, "golden.comparison=digest"), progress)
    what = programs(loaded, digests, progress)
    absent = [] if libvmi else ["LibVMI (--libvmi names an installed one)"]
    result = Result(command, {**machine.describe(), "emulator": machine.emulator()}, __version__)
    result.sizes = sizes(loaded, what.built, progress)
    result.absent = [*absent, *(["all but the comparison and the sizes (--quick)"] if quick else _NOT_YET)]
    if not quick:
        result.build_s = build_times(loaded, progress)
    profiles = ProfileFile.load(what.built.profile)
    with tempfile.TemporaryDirectory(prefix="tinyvmi-bench.") as folder:
        if libvmi:
            what = replace(what, libvmi=reader_files(libvmi, Path(folder), str(Path(LIBVMI).parent)))
        work: dict[str, Path | bytes] = {} if quick else {WORK: work_program(Path(folder))}
        by_target = None if quick else _writing(project, sets, Path(folder), result, progress)
        if by_target:
            what = replace(what, more=by_target.files())
            work |= by_target.inside()
        for number, clock in enumerate(clocks):
            extras: list[Extra] = []
            if not quick:
                extras += [least_memory(result.sizes, progress)] if number == 0 else []
                extras += [
                    *([written(by_target, _WRITES, progress)] if by_target else []),
                    latency(profiles, _TAMPERS, _TAMPER_PERIOD_MS, progress),
                    slowdown(_SLOWDOWN_ROUNDS, progress),
                    growth(profiles, progress),
                ]
            result.runs.append(
                compare(
                    loaded,
                    what,
                    icount=clock == ICOUNT,
                    avx2=avx2,
                    rounds=rounds,
                    scans=scans,
                    extras=extras,
                    guest_files=work,
                    more_modules=() if quick else MODULES,
                    progress=progress,
                    keep=keep,
                )
            )
            if not quick:
                larger_kernel(result.runs[-1], progress)
    return result


def _writing(
    project: Path | None, sets: tuple[str, ...], folder: Path, result: Result, progress: Progress
) -> Writing | None:
    """What writes by the target need; None, and told, if it cannot be had."""
    try:
        return writing(project, sets, folder / "written", progress)
    except MissingEnvironmentError as error:
        result.absent.append(f"writes by the target itself: {error.message}")
        progress.warn(result.absent[-1])
        return None
