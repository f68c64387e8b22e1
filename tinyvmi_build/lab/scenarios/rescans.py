"""A clean target stays intact through many scans."""

from __future__ import annotations

from tinyvmi_build.lab.scenario import Scenario, ScenarioRunner

_SCANS = 100


def _run(runner: ScenarioRunner) -> None:
    runner.intact(f"{_SCANS} scans of the clean target", scans=_SCANS)


SCENARIO = Scenario(
    name="rescans",
    description=f"{_SCANS} consecutive scans of a clean target",
    expectation="intact, every time",
    run=_run,
)
