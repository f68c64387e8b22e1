"""What dom0 told, put into a run."""

from __future__ import annotations

from tinyvmi_build.bench.plan import MONITOR
from tinyvmi_build.bench.result import Run
from tinyvmi_build.bench.samples import Told, figures
from tinyvmi_build.bench.statistics import Spread, spread
from tinyvmi_build.errors import MissingEnvironmentError


def finish(run: Run, told: Told) -> None:
    """Fill in figures and timings; MissingEnvironmentError if the monitor itself was not measured."""
    run.figures = figures(told)
    run.failed = told.failed
    run.verdicts = sorted(told.verdicts)
    for who, timings in told.timings.items():
        run.timings[who] = _each(timings)
    for who, kernels in told.kernels.items():
        found = spread(float(kernel["duration_us"]) for kernel in kernels)
        if found:
            run.find_us[who] = found
    if not any(figure.who == MONITOR for figure in run.figures):
        raise MissingEnvironmentError(
            "the monitor was not measured: " + ("; ".join(told.failed) or "it said nothing")
        )


def _each(timings: list[dict[str, float]]) -> dict[str, Spread]:
    stages = dict.fromkeys(stage for timing in timings for stage in timing)
    found = {stage: spread(t[stage] for t in timings if stage in t) for stage in stages}
    return {stage: s for stage, s in found.items() if s is not None}
