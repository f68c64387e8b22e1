"""A PV Linux as the target: only FLASK mode can give a monitor the right to map it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.lab.flask.conftest import BARE, tried
from tests.lab.reaching import said_by
from tinyvmi_build.checks.page_tables import tamper as page_tables
from tinyvmi_build.checks.tamper import Change, changes, register_changes
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


@pytest.fixture(scope="module")
def pv_target(flask_lab: Lab, full: Loaded) -> Iterator[Target]:
    made = flask_lab.create_target("pv", TargetOptions("pv", label=seclabel(full.config, "target"), vcpus=2))
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def runner(flask_lab: Lab, pv_target: Target, profiles: ProfileFile) -> Iterator[ScenarioRunner]:
    monitor = Monitor(flask_lab, pv_target, Terminal(sys.stdout, Explainer(profiles)), period="300ms")
    kernel = monitor.wait_kernel()
    assert (kernel["pv"], kernel["delta"]) == (1, "0x0000000000000000")
    yield ScenarioRunner(pv_target, monitor, LiveGuest(pv_target, kernel, profiles), lambda what, text: None)
    monitor.stop()


def test_a_clean_pv_guest_is_intact(runner: ScenarioRunner) -> None:
    runner.steps.clear()
    runner.intact("clean", scans=6)
    assert exit_status(runner.steps) == 0, runner.steps
    assert runner.monitor.tracking == {"type": "tracking", "frames": 0, "reason": "Xen tracks no PV guest"}


@pytest.mark.parametrize("tamper", tried([*(c for c in changes() if c.caught_by), page_tables.TASK]))
def test_tampers_are_caught_by_their_check(runner: ScenarioRunner, tamper: Change) -> None:
    runner.steps.clear()
    runner.restored(runner.tampered(tamper))
    assert exit_status(runner.steps) == 0, runner.steps


@pytest.mark.parametrize("tamper", tried(register_changes("pv")))
def test_what_it_has_registered_with_xen(runner: ScenarioRunner, tamper: Change) -> None:
    runner.steps.clear()
    runner.restored(runner.tampered(tamper))
    assert exit_status(runner.steps) == 0, runner.steps


@pytest.mark.long
def test_the_right_to_map_is_enough(flask_lab: Lab, bare: Loaded) -> None:
    """Found through Xen's machine-to-physical table, without shared_info and a storm of denials."""
    other = flask_lab.create_target("pv2", TargetOptions("pv", label=seclabel(bare.config, "target")))
    before = flask_lab.console_log.count("avc:")
    name = artifact(bare.config)
    flask_lab.run(["xl", "destroy", name])
    flask_lab.run(["rm", "-f", f"/var/log/xen/console/guest-{name}.log"])
    command = f"cd {BARE} && xl create {name}.cfg 'extra=\"target={other.domid}\"'"
    flask_lab.run(["sh", "-c", command], 60).check()
    try:
        said = said_by(flask_lab, name, '"type":"heartbeat","scan":3')
        assert '"verdict":"intact"' in said
        assert flask_lab.console_log.count("avc:") - before < 32
    finally:
        if domid_of(flask_lab, name) >= 0:
            flask_lab.run(["xl", "destroy", name])
        other.destroy()
