"""FLASK mode: what the policy gives to a monitor, what it does not, and what the monitor makes of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from tests.lab.flask.conftest import BARE, tried
from tests.lab.reaching import EACCES, Answers, reach, reached, said_by
from tinyvmi_build.checks.tamper import Change, change, register_changes
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.options import TargetOptions
from tinyvmi_build.lab.scenario import ScenarioRunner, exit_status
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.render.plan import artifact, seclabel
from tinyvmi_build.report.terminal import Terminal
from tinyvmi_build.timeouts import VARIABLE, scale


def test_xen_enforces_the_policy(flask_lab: Lab) -> None:
    assert "Starting in enforcing mode" in flask_lab.console_log
    assert flask_lab.run(["xl", "getenforce"]).out.strip() == "Enforcing"


@pytest.fixture(scope="module")
def answers(flask_lab: Lab, target: Target, full: Loaded) -> Answers:
    return reach(flask_lab, target, seclabel(full.config), lambda domid: None)


def test_the_target_is_read_and_not_written(answers: Answers, flask_lab: Lab) -> None:
    assert answers["target", "map-read"] == 0
    assert answers["target", "map-write"] == EACCES
    allowed = {"map-read", "getdomaininfo", "getvcpucontext", "gethvmcontext"}
    assert reached(answers, "target") == dict.fromkeys(allowed, 0)
    # Xen says whose right was missing.
    assert re.search(
        r"avc:\s+denied\s+\{ map_write \}.*tinyvmi_lab_t.*tinyvmi_lab_target_t", flask_lab.console_log
    )


@pytest.mark.parametrize("whom", ["third", "dom0", "xen", "io"])
def test_nobody_else_can_be_reached(answers: Answers, whom: str) -> None:
    assert {"map-read", "map-write"} <= {what for who, what in answers if who == whom}
    assert reached(answers, whom) == {}


@pytest.fixture(scope="module")
def runner(flask_lab: Lab, target: Target, profiles: ProfileFile) -> Iterator[ScenarioRunner]:
    monitor = Monitor(flask_lab, target, Terminal(sys.stdout, Explainer(profiles)), period="200ms")
    kernel = monitor.wait_kernel()
    yield ScenarioRunner(target, monitor, LiveGuest(target, kernel, profiles), lambda what, text: None)
    monitor.stop()


def test_registers_and_all_else_are_intact(runner: ScenarioRunner) -> None:
    runner.steps.clear()
    runner.intact("clean", scans=10)
    assert exit_status(runner.steps) == 0, runner.steps


def test_writes_are_not_tracked(runner: ScenarioRunner) -> None:
    """The right to ask for it would be one to change the target: the policy does not give it."""
    assert runner.monitor.tracking == {
        "type": "tracking", "frames": 0, "reason": "the hypervisor does not allow it",
    }  # fmt: skip


@pytest.mark.parametrize("tamper", tried(register_changes()))
def test_changes_of_registers(runner: ScenarioRunner, tamper: Change) -> None:
    runner.steps.clear()
    if tamper.caught_by is None:
        runner.benign(tamper)
    else:
        runner.restored(runner.tampered(tamper))
    assert exit_status(runner.steps) == 0, runner.steps


def test_a_change_of_memory(runner: ScenarioRunner) -> None:
    runner.steps.clear()
    runner.restored(runner.tampered(change("syscall-table-getdents64")))
    assert exit_status(runner.steps) == 0, runner.steps


def test_plain_xl_create_is_enough(flask_lab: Lab, target: Target, bare: Loaded) -> None:
    """No launch, no set_target: a config with a label and the target's number; and no right but map_read."""
    flask_lab.run(["xl", "destroy", "tinyvmi-bare"])
    other = flask_lab.create_target("other", TargetOptions(label=seclabel(bare.config, "target")))
    name = artifact(bare.config)
    command = f"cd {BARE} && xl create {name}.cfg 'extra=\"target={other.domid}\"'"
    flask_lab.run(["sh", "-c", command], 60).check()
    try:
        said = said_by(flask_lab, name, '"type":"heartbeat","scan":3')
        assert '"verdict":"intact"' in said
        assert '"check":"registers"' not in said
        other.destroy()
        assert '"reason":"target-gone"' in said_by(flask_lab, name, '"type":"bye"')
    finally:
        if domid_of(flask_lab, name) >= 0:
            flask_lab.run(["xl", "destroy", name])


@pytest.mark.long
def test_a_target_of_another_label(flask_lab: Lab, target: Target) -> None:
    """The label is the privilege: over a guest that has another one there is none."""
    patient = ["env", f"{VARIABLE}={scale():.2f}"]
    launch = ["tinyvmi-build", "launch", BARE, "--target", target.name, "--scans", "1"]
    result = flask_lab.run([*patient, *launch], 180)
    assert (result.status, "does not let this domain read the target" in result.out) == (4, True), result
