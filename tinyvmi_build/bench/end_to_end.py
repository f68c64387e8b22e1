"""One `tinyvmi-build bench` from beginning to end."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tinyvmi_build import __version__
from tinyvmi_build.bench import machine
from tinyvmi_build.bench.build_times import build_times
from tinyvmi_build.bench.growth import growth, larger_kernel
from tinyvmi_build.bench.lab import LIBVMI, Boot, LabMeasurement, Programs, compare, programs
from tinyvmi_build.bench.libvmi import reader_files
from tinyvmi_build.bench.options import LabOptions
from tinyvmi_build.bench.result import Result
from tinyvmi_build.bench.sizes import least_memory, sizes
from tinyvmi_build.bench.slowdown import MODULES, WORK, slowdown, work_program
from tinyvmi_build.bench.tamper_latency import tamper_latency
from tinyvmi_build.bench.write_latency import Writing, prepare_writing, write_latency
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.project import loaded_project
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress

_WRITES = 30  # by the target, to its code and to its constants each
_TAMPERS = 15  # by dom0
_TAMPER_PERIOD_MS = 1000
_SLOWDOWN_ROUNDS = 2
_NOT_YET = ["real hardware"]


def measure(project: Path | None, sets: tuple[str, ...], options: LabOptions, progress: Progress) -> Result:
    """Build, boot once a clock, measure."""
    loaded = loaded_project(project, sets, progress)
    digests = None
    if loaded.config.golden.comparison != "digest":
        digests = loaded_project(project, (*sets, "golden.comparison=digest"), progress)
    compared = programs(loaded, digests, progress)
    result = Result(options.command, {**machine.describe(), "emulator": machine.emulator()}, __version__)
    result.sizes = sizes(loaded, compared.built, progress)
    if not options.libvmi:
        result.absent.append("LibVMI (--libvmi names an installed one)")
    result.absent += ["all but the comparison and the sizes (--quick)"] if options.quick else _NOT_YET
    if not options.quick:
        result.build_s = build_times(loaded, progress)
    with tempfile.TemporaryDirectory(prefix="tinyvmi-bench.") as name:
        folder = Path(name)
        if options.libvmi:
            libvmi = reader_files(options.libvmi, folder, str(Path(LIBVMI).parent))
            compared = replace(compared, libvmi=libvmi)
        guest_files: dict[str, Path | bytes] = {} if options.quick else {WORK: work_program(folder)}
        writing = None if options.quick else _writing(project, sets, folder, result, progress)
        if writing:
            compared = replace(compared, more=writing.dom0_files())
            guest_files |= writing.guest_files()
        for number, clock in enumerate(options.clocks):
            boot = Boot(clock, guest_files=guest_files)
            if not options.quick:
                boot = replace(
                    boot,
                    measurements=_measurements(compared, writing, result if number == 0 else None, progress),
                    more_modules=MODULES,
                )
            result.runs.append(compare(loaded, compared, boot, options, progress))
            if not options.quick:
                larger_kernel(result.runs[-1], progress)
    return result


def _measurements(
    compared: Programs, writing: Writing | None, sizes_into: Result | None, progress: Progress
) -> list[LabMeasurement]:
    """What is measured in each boot; the least memory in one of them, which puts it into `sizes_into`."""
    profiles = ProfileFile.load(compared.built.profile)
    return [
        *([least_memory(sizes_into.sizes, progress)] if sizes_into else []),
        *([write_latency(writing, _WRITES, progress)] if writing else []),
        tamper_latency(profiles, _TAMPERS, _TAMPER_PERIOD_MS, progress),
        slowdown(_SLOWDOWN_ROUNDS, progress),
        growth(profiles, progress),
    ]


def _writing(
    project: Path | None, sets: tuple[str, ...], folder: Path, result: Result, progress: Progress
) -> Writing | None:
    """What the target needs to write to its kernel; None, with a warning, if it cannot be built."""
    try:
        return prepare_writing(project, sets, folder / "written", progress)
    except MissingEnvironmentError as error:
        result.absent.append(f"writes by the target itself: {error.message}")
        progress.warn(result.absent[-1])
        return None
