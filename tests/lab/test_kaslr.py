"""A target that GRUB boots: its kernel lies where its own KASLR has put it, and is found there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.options import TargetOptions
from tinyvmi_build.lab.scenario import ScenarioRunner, exit_status
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.report.terminal import Terminal


@pytest.fixture(scope="module")
def moved(lab: Lab) -> Iterator[Target]:
    target = lab.create_target("moved", TargetOptions("pvh-grub"))
    yield target
    target.destroy()


@pytest.fixture(scope="module")
def runner(lab: Lab, moved: Target, profiles: ProfileFile) -> Iterator[ScenarioRunner]:
    terminal = Terminal(sys.stdout, Explainer(profiles))
    monitor = Monitor(lab, moved, terminal, period="200ms")
    monitor.wait_kernel()
    assert monitor.kernel is not None
    yield ScenarioRunner(moved, monitor, LiveGuest(moved, monitor.kernel, profiles), lambda what, text: None)
    monitor.stop()


def _one_of_each_check() -> list[Any]:
    found: dict[str, Change] = {}
    for change in changes():
        if change.caught_by and not change.hides_kernel:
            found.setdefault(change.caught_by, change)
    usual = ("syscall-table", "text", "modules")  # what is found by a pointer, in place, and elsewhere
    return [
        pytest.param(change, id=check, marks=[] if check in usual else [pytest.mark.long])
        for check, change in found.items()
    ]


def test_it_is_found_where_it_says_it_is(
    runner: ScenarioRunner, moved: Target, profiles: ProfileFile
) -> None:
    kernel = runner.monitor.kernel
    assert kernel is not None
    said = int(moved.run("sed -n 's/ T _text$//p' /proc/kallsyms").check().out, 16)
    assert int(kernel["text_va"], 16) == said
    assert said - profiles.kernels[0].text_va == int(kernel["delta"], 16)
    # One place in 500 is the one without KASLR, for each of the two addresses.
    assert (int(kernel["delta"], 16), int(kernel["text_pa"], 16)) != (0, 0x1000000)


def test_it_is_intact(runner: ScenarioRunner) -> None:
    runner.intact("as it booted", scans=20)
    assert exit_status(runner.steps) == 0, runner.steps


@pytest.mark.parametrize("tamper", _one_of_each_check())
def test_one_tamper_of_each_check_is_caught(runner: ScenarioRunner, tamper: Change) -> None:
    undo = runner.tampered(tamper)
    runner.restored(undo)
    assert exit_status(runner.steps) == 0, runner.steps
