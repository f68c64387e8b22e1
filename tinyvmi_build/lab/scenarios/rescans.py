"""A clean target stays clean, however often one looks."""

from __future__ import annotations

from tinyvmi_build.lab.scenario import Scenario, Stage

_SCANS = 100


def _play(stage: Stage) -> None:
    stage.intact(f"{_SCANS} scans of the clean target", scans=_SCANS)


SCENARIO = Scenario(
    name="rescans",
    description=f"{_SCANS} consecutive scans of a clean target",
    expectation="intact, every time",
    play=_play,
)
