"""launch as a script uses it: one scan, and the exit status."""

from __future__ import annotations

import signal

import pytest

from tests.lab.conftest import without_kaslr
from tests.lab.liveness import Follower
from tinyvmi_build.checks.tamper import change
from tinyvmi_build.lab.monitor import FILES, LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.profile.profile import ProfileFile


def test_exit_status_tells_the_verdict(lab: Lab, target: Target, profiles: ProfileFile) -> None:
    command = ["tinyvmi-build", "launch", FILES, "--scans", "1"]
    kernel = profiles.by_release(target.release)
    record = without_kaslr(kernel)
    guest = LiveGuest(target, record, profiles)
    result = lab.run(command, 120)
    assert (result.status, "INTACT (1 scan)" in result.out) == (0, True), result
    undo = change("syscall-table-getdents64").apply(guest)
    try:
        result = lab.run(command, 120)
    finally:
        undo()
    assert (result.status, "TAMPERED (1 scan)" in result.out) == (5, True), result


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_launch_that_is_asked_to_end_has_the_verdict(
    lab: Lab, target: Target, profiles: ProfileFile, number: signal.Signals
) -> None:
    """Of all scans, also after the tamper was undone; the monitor's domain goes."""
    guest = LiveGuest(target, without_kaslr(profiles.by_release(target.release)), profiles)
    follower = Follower(lab, folder=FILES, target="target")
    follower.scans(1, 120)
    undo = change("syscall-table-getdents64").apply(guest)
    try:
        follower.tampered()
    finally:
        undo()
    follower.settled()
    result = follower.asked_to_end(number)
    assert (follower.status, result["exit"], result["verdict"]) == (5, 5, "tampered"), result
    assert result["stopped"] == f"it was asked to by {number.name}" and result["bye"] is None
    assert domid_of(lab, "tinyvmi-lab") == -1


def test_an_intact_launch_that_is_asked_to_end(lab: Lab, target: Target) -> None:
    follower = Follower(lab, folder=FILES, target="target")
    follower.intact(2)
    result = follower.asked_to_end(signal.SIGHUP)
    assert (follower.status, result["exit"], result["outcome"]) == (0, 0, "intact"), result
