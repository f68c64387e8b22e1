"""The shortest proof that the whole path works."""

from __future__ import annotations

from tinyvmi_build.checks.tamper import demonstration
from tinyvmi_build.lab.scenario import Scenario, ScenarioRunner


def _run(runner: ScenarioRunner) -> None:
    runner.intact("the target as it booted", scans=2)
    undo = runner.tampered(demonstration())
    runner.restored(undo)


SCENARIO = Scenario(
    name="first-light",
    description="a clean target, then one changed system call, then its bytes put back",
    expectation="intact, tampered, intact",
    run=_run,
)
