"""Every change of the list: each tamper is caught by its check, each legitimate change is not."""

from __future__ import annotations

from tinyvmi_build.checks.tamper import changes
from tinyvmi_build.lab.scenario import Scenario, ScenarioRunner


def _run(runner: ScenarioRunner) -> None:
    for change in (*changes(), *runner.registers):
        if change.caught_by is None:
            runner.benign(change)
        else:
            runner.restored(runner.tampered(change))


SCENARIO = Scenario(
    name="tampers",
    description="every change that the lab knows, one after the other",
    expectation="each tamper is reported by its check in the scan after it; legitimate changes are not",
    run=_run,
)
