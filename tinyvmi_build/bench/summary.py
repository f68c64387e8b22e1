"""Put what dom0 measured into a run."""

from __future__ import annotations

from tinyvmi_build.bench.figures import figures
from tinyvmi_build.bench.measurements import Measurements
from tinyvmi_build.bench.plan import MONITOR
from tinyvmi_build.bench.result import Run
from tinyvmi_build.bench.statistics import Spread, spread
from tinyvmi_build.errors import MissingEnvironmentError


def summarize(run: Run, measured: Measurements) -> None:
    """Fill in figures and timings; MissingEnvironmentError if the monitor itself was not measured."""
    run.figures = figures(measured)
    run.failed = measured.failed
    run.verdicts = sorted(measured.verdicts)
    for who, timings in measured.timings.items():
        run.timings[who] = _each(timings)
    for who, durations in measured.find_us.items():
        found = spread(durations)
        if found:
            run.find_us[who] = found
    if not any(figure.who == MONITOR for figure in run.figures):
        raise MissingEnvironmentError(
            "the monitor was not measured: " + ("; ".join(measured.failed) or "it printed nothing")
        )


def _each(timings: list[dict[str, float]]) -> dict[str, Spread]:
    stages = dict.fromkeys(stage for timing in timings for stage in timing)
    found = {stage: spread(t[stage] for t in timings if stage in t) for stage in stages}
    return {stage: s for stage, s in found.items() if s is not None}
