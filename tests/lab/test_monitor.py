"""The real monitor over a real target: clean, tampered with, restored, and changed legitimately."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.scenario import ScenarioRunner, exit_status
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.terminal import Terminal


@pytest.fixture(scope="module")
def watching(lab: Lab, target: Target, profiles: ProfileFile) -> Iterator[Monitor]:
    monitor = Monitor(lab, target, Terminal(sys.stdout, Explainer(profiles)), period="200ms")
    monitor.wait_kernel()
    yield monitor
    monitor.stop()
    assert domid_of(lab, "tinyvmi-lab") == -1


@pytest.fixture
def runner(target: Target, watching: Monitor, profiles: ProfileFile) -> ScenarioRunner:
    assert watching.kernel is not None
    return ScenarioRunner(
        target, watching, LiveGuest(target, watching.kernel, profiles), lambda what, text: None
    )


def test_the_clean_target_is_intact_100_times(runner: ScenarioRunner) -> None:
    runner.intact("clean", scans=100)
    assert exit_status(runner.steps) == 0, runner.steps


@pytest.mark.parametrize("tamper", [c for c in changes() if c.caught_by], ids=lambda c: c.name)
def test_tampers_are_caught_by_their_check(runner: ScenarioRunner, tamper: Change) -> None:
    undo = runner.tampered(tamper)
    runner.restored(undo)
    assert exit_status(runner.steps) == 0, runner.steps


@pytest.mark.parametrize("legitimate", [c for c in changes() if not c.caught_by], ids=lambda c: c.name)
def test_legitimate_changes_are_not(runner: ScenarioRunner, legitimate: Change) -> None:
    runner.benign(legitimate)
    assert exit_status(runner.steps) == 0, runner.steps


def test_what_the_guest_changes_itself(runner: ScenarioRunner) -> None:
    """Through its own sysctl: first to a value that the configuration allows, then to one it does not."""
    assert runner.target.run("sysctl -w kernel.core_pattern=core.%p").status == 0
    assert runner.monitor.steady(Verdict.INTACT)[0] is Verdict.INTACT
    runner.monitor.begin()
    assert runner.target.run("sysctl -w kernel.core_pattern='|/tmp/x'").status == 0
    assert runner.monitor.expect(Verdict.TAMPERED)[0] is Verdict.TAMPERED
    assert {finding["check"] for finding in runner.monitor.findings} == {"policy-globals"}
    assert runner.target.run("sysctl -w kernel.core_pattern=core").status == 0
    assert runner.monitor.expect(Verdict.INTACT)[0] is Verdict.INTACT


TRACING = "cd /sys/kernel/tracing; "
#: What a guest's own administrator does, and takes back.
ACTIONS = {
    "a module loaded": ("insmod /lib/later/dummy.ko", "rmmod dummy"),
    "a module's own code used": ("ip link add v0 type veth", "ip link del v0 type veth"),
    "functions traced": (
        TRACING + "echo 'vfs_*' > set_ftrace_filter; echo function > current_tracer; echo 1 > tracing_on",
        TRACING + "echo nop > current_tracer; echo > set_ftrace_filter",
    ),
    "events traced": (TRACING + "echo 1 > events/sched/enable", TRACING + "echo 0 > events/sched/enable"),
    "scheduler statistics": (
        "sysctl -w kernel.sched_schedstats=1",
        "sysctl -w kernel.sched_schedstats=0",
    ),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_what_an_administrator_does_is_let_pass(runner: ScenarioRunner, action: str) -> None:
    runner.target.run("grep -q tracefs /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing").check()
    for command in ACTIONS[action]:
        runner.target.run(command).check()
        assert runner.monitor.steady(Verdict.INTACT)[0] is Verdict.INTACT, command
