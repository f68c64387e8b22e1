"""A tree of the Xen Project's Mini-OS underneath: what it says is what the built-in base says.

Runs if TINYVMI_MINIOS_TREE names such a tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from unittest.mock import ANY

import pytest

from tests.lab import bases
from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.image.build import BuildResult
from tinyvmi_build.lab.agent import Remote
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.profile.profile import ProfileFile

pytestmark = pytest.mark.skipif(
    bases.tree() is None, reason=f"{bases.VARIABLE} names no tree of the Xen Project's Mini-OS"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuildResult]:
    root = bases.tree()
    assert root is not None
    return bases.build_both(root, tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def running(built: dict[str, BuildResult]) -> Iterator[tuple[Lab, Target]]:
    with bases.both_in_a_lab(built) as both:
        yield both


def first_of_each_check() -> list[Change]:
    found: dict[str, Change] = {}
    for change in changes():
        if change.caught_by and not change.hides_kernel:
            found.setdefault(change.caught_by, change)
    return list(found.values())


def test_each_says_what_it_is(running: tuple[Lab, Target], built: dict[str, BuildResult]) -> None:
    lab, _ = running
    for base in bases.BASES:
        _, records = bases.launch(lab, base, "--scans", "1")
        assert (records[0]["base"], records[0]["image"]) == (base, built[base].image_id)


def test_a_clean_target(running: tuple[Lab, Target]) -> None:
    lab, _ = running
    runs = [bases.launch(lab, base, "--scans", "3", "--period", "100ms") for base in bases.BASES]
    assert [status for status, _ in runs] == [0, 0]
    ours, theirs = (bases.comparable(records) for _, records in runs)
    assert [r["type"] for r in ours if r["type"] != "check"] == [
        *("hello", "kernel", "tracking"),
        *["heartbeat"] * 3,
        "bye",
    ]
    assert theirs == ours


@pytest.mark.parametrize("tamper", first_of_each_check(), ids=lambda change: change.name)
def test_the_same_findings(
    running: tuple[Lab, Target], built: dict[str, BuildResult], tamper: Change
) -> None:
    lab, target = running
    _, clean = bases.launch(lab, "built-in", "--scans", "1")
    kernel = next(r for r in clean if r["type"] == "kernel")
    guest = LiveGuest(target, kernel, ProfileFile.load(built["built-in"].profile))
    target.pause()
    undo = tamper.apply(guest)
    try:
        runs = [bases.launch(lab, base, "--scans", "1") for base in bases.BASES]
    finally:
        undo()
        target.unpause()
    assert [status for status, _ in runs] == [5, 5]
    ours, theirs = (bases.comparable(records) for _, records in runs)
    assert tamper.caught_by in {r["check"] for r in ours if r["type"] == "finding"}
    assert theirs == ours


def heartbeat(remote: Remote, seconds: float = 120) -> None:
    """Wait until the monitor has done a scan."""
    for _, line in remote.messages(seconds):
        if '"type": "heartbeat"' in line:
            return
    raise AssertionError(f"launch ended with {remote.status} before the first heartbeat")


def test_the_console_may_be_typed_at(running: tuple[Lab, Target]) -> None:
    """What comes in on the console is not echoed into a record."""
    lab, _ = running
    remote = lab.spawn(["tinyvmi-build", "launch", "/lab/mini-os", "--json", "--period", "10ms"])
    heartbeat(remote)
    domid = domid_of(lab, "tinyvmi-lab")
    where = lab.run(["xenstore-read", f"/local/domain/{domid}/console/tty"]).check().out.strip()
    before = len(monitor_log(lab))
    lab.run(["sh", "-c", f"for i in $(seq 40); do echo abcabcabc > {where}; sleep 0.1; done"]).check()
    heartbeat(remote)
    reported = monitor_log(lab)[before:]
    lab.run(["xl", "destroy", "tinyvmi-lab"]).check()
    lines = [line for _, line in remote.messages(60)]
    assert "heartbeat" in reported
    assert "abc" not in reported
    assert not [line for line in lines if '"event": "broken"' in line], lines


def test_xl_shutdown_ends_it(running: tuple[Lab, Target]) -> None:
    """The tree's own shutdown thread works beside the monitor, and launch says that the monitor went."""
    lab, _ = running
    remote = lab.spawn(["tinyvmi-build", "launch", "/lab/mini-os", "--json"])
    heartbeat(remote)
    lab.run(["xl", "shutdown", "tinyvmi-lab"]).check()
    assert remote.wait(60).status == 6
    assert domid_of(lab, "tinyvmi-lab") == -1


def test_the_target_goes(running: tuple[Lab, Target]) -> None:
    """The last test: it takes the target away."""
    lab, target = running
    remote = lab.spawn(["tinyvmi-build", "launch", "/lab/mini-os", "--period", "50ms", "--json"])
    heartbeat(remote)
    lab.run(["xl", "destroy", target.name]).check()
    result = remote.wait(60)
    assert [t["record"] for t in map(json.loads, result.out.splitlines()) if "record" in t][-1] == {
        "type": "bye",
        "scan": ANY,
        "verdict": "intact",
        "reason": "target-gone",
    }


def monitor_log(lab: Lab) -> str:
    return lab.run(["cat", "/var/log/xen/console/guest-tinyvmi-lab.log"]).check().out
