"""`tinyvmi-build launch` on a dom0: what is missing, what is refused, and monitors that go wrong."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.lab.conftest import BAD
from tests.lab.misbehave.folder import modes
from tests.support.events import valid_events
from tinyvmi_build.lab.agent import Remote, Result
from tinyvmi_build.lab.monitor import FILES
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, domid_of

QUICK = ["env", "TINYVMI_TIMEOUT_FACTOR=0.4"]  # silence is noticed after 12 s, not 30

# mode → exit status, and what has to be said
EXPECTED = {
    "good": (0, "INTACT (1 scan)"),
    "tampered": (5, "TAMPERED"),
    "unverifiable": (3, "UNVERIFIABLE"),
    "no-privilege": (4, "monitor error in target: no privilege"),
    "checks-nothing": (3, "nothing was checked"),
    "silent": (6, "it said nothing for 12 s"),
    "hang": (6, "it has been silent for 8 s"),
    "panic": (6, "*** CRASH"),
    "leaves": (6, "its domain is gone"),
    "half-record": (6, "cut short"),
    "bad-crc": (6, "CRC is wrong"),
    "gap": (6, "record 1 was due and record 2 came"),
    "foreign": (6, "the nonce of another run"),
    "flood": (6, "it has been silent for 8 s"),
    "garbage": (0, "INTACT (1 scan)"),
}


def launch(lab: Lab, folder: str, *options: str) -> Result:
    return lab.run([*QUICK, "tinyvmi-build", "launch", folder, *options], 120)


def test_every_mode_is_expected_to_do_something() -> None:
    assert sorted(EXPECTED) == sorted(modes())


@pytest.mark.parametrize("mode", modes())
def test_monitors_that_go_wrong(lab: Lab, target: Target, mode: str) -> None:
    status, text = EXPECTED[mode]
    result = launch(lab, f"{BAD}/{mode}")
    assert (result.status, text in result.out) == (status, True), result
    assert "\x1b" not in result.out
    assert domid_of(lab, f"tinyvmi-{mode}") == -1


def test_json_ends_with_the_result(lab: Lab, target: Target) -> None:
    result = launch(lab, f"{BAD}/tampered", "--json")
    lines = valid_events(result.out)
    assert result.status == 5
    for line in lines:
        assert line["target"] == "target"
    assert (lines[0]["event"], lines[0]["target_domain"]) == ("attached", target.domid)
    assert (lines[1]["event"], lines[1]["record"]["type"]) == ("record", "hello")
    assert (lines[-1]["event"], lines[-1]["exit"], lines[-1]["verdict"]) == ("result", 5, "tampered")


def test_no_target(lab: Lab, target: Target) -> None:
    result = launch(lab, f"{BAD}/good", "--target", "nobody", "--once")
    assert result.status == 4
    assert "there is no domain 'nobody' to watch" in result.err
    assert "running: target" in result.err


def test_dom0_is_no_target(lab: Lab) -> None:
    result = launch(lab, f"{BAD}/good", "--target", "0")
    assert (result.status, "dom0 cannot be a target" in result.err) == (2, True)


def test_privilege_over_a_pv_domain_is_refused(lab: Lab) -> None:
    lab.run(["sh", "-c", f"cd {BAD}/silent && xl create -p tinyvmi-silent.cfg"]).check()
    try:
        result = launch(lab, f"{BAD}/good", "--target", "tinyvmi-silent")
        assert (result.status, "it is a PV domain" in result.err) == (4, True), result
        assert domid_of(lab, "tinyvmi-good") == -1
    finally:
        lab.run(["xl", "destroy", "tinyvmi-silent"]).check()


def running(lab: Lab, mode: str) -> Remote:
    """A launch of that mode's folder, once its monitor has a domain."""
    remote = lab.spawn(["tinyvmi-build", "launch", f"{BAD}/{mode}"])
    for _, line in remote.messages(60):
        if "monitor is domain" in line:
            break
    return remote


def refused(result: Result, *said: str) -> None:
    assert result.status == 4, result
    for text in said:
        assert text in result.err, result


def test_a_monitor_that_was_left(lab: Lab, target: Target) -> None:
    assert launch(lab, f"{BAD}/silent", "--timeout", "1s", "--keep").status == 6
    refused(launch(lab, f"{BAD}/silent"), "'tinyvmi-silent' (domain ", "is left over", "--replace")
    result = launch(lab, f"{BAD}/silent", "--timeout", "1s", "--replace")
    assert (result.status, "destroyed the monitor 'tinyvmi-silent'" in result.err) == (6, True), result
    assert domid_of(lab, "tinyvmi-silent") == -1


def test_a_monitor_whose_launch_was_killed(lab: Lab, target: Target) -> None:
    """Nobody listens to it: a launch of another monitor, too, distinguishes it from one with an owner."""
    remote = running(lab, "silent")
    remote.kill(signal.SIGKILL)
    remote.wait(60)
    assert domid_of(lab, "tinyvmi-silent") != -1
    refused(launch(lab, f"{BAD}/silent"), "is left over: the launch that started it has ended", "--replace")
    refused(launch(lab, f"{BAD}/good"), "'tinyvmi-silent' (domain ", "is left over", "--replace")
    result = launch(lab, f"{BAD}/good", "--replace")
    assert (result.status, "INTACT (1 scan)" in result.out) == (0, True), result
    assert domid_of(lab, "tinyvmi-silent") == domid_of(lab, "tinyvmi-good") == -1


def test_a_monitor_that_a_launch_owns(lab: Lab, target: Target) -> None:
    """Neither it nor another monitor of its target can be launched; --replace does not take it away."""
    remote = running(lab, "silent")
    try:
        owned = domid_of(lab, "tinyvmi-silent")
        pid = lab.run(
            ["sh", "-c", "sed 's/.*\"pid\": *//; s/,.*//' /run/tinyvmi/monitor-tinyvmi-silent.lock"]
        )
        for more in ((), ("--replace",)):
            mine = launch(lab, f"{BAD}/silent", *more)
            refused(mine, f"runs already: process {pid.out.strip()} has launched it, over domain 'target'")
            other = launch(lab, f"{BAD}/good", *more)
            refused(other, "domain 'target' is watched already: by process", "monitor 'tinyvmi-silent'")
            assert "destroy" not in mine.err + other.err
        assert domid_of(lab, "tinyvmi-silent") == owned
    finally:
        remote.kill(signal.SIGTERM)
        remote.wait(60)
    assert launch(lab, f"{BAD}/good").status == 0


def test_a_domain_of_that_name_that_is_no_launchs(lab: Lab, target: Target) -> None:
    lab.run(["sh", "-c", f"cd {BAD}/silent && xl create -p tinyvmi-silent.cfg"]).check()
    try:
        for more in ((), ("--replace",)):
            refused(launch(lab, f"{BAD}/silent", *more), "exists already, and no launch of this host")
        domid = domid_of(lab, "tinyvmi-silent")
        # What a guest writes about itself prevents no launch over another one.
        claim = f"/local/domain/{domid}/data/tinyvmi/target"
        lab.run(["xenstore-write", claim, str(target.domid)]).check()
        result = launch(lab, f"{BAD}/good", "--replace")
        assert (result.status, "claims to watch 'target'" in result.err) == (0, True), result
        assert domid_of(lab, "tinyvmi-silent") == domid
    finally:
        lab.run(["xl", "destroy", "tinyvmi-silent"]).check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_before_anything_was_checked(lab: Lab, target: Target, number: signal.Signals) -> None:
    remote = running(lab, "silent")
    remote.kill(number)
    result = remote.wait(60)
    assert result.status == 130, result
    assert f"the run ends: it was asked to by {number.name}" in result.out
    assert "nothing was checked (0 scans)" in result.out
    assert domid_of(lab, "tinyvmi-silent") == -1


def test_interrupted_while_it_waits_for_a_target(lab: Lab) -> None:
    remote = lab.spawn(["tinyvmi-build", "launch", f"{BAD}/good", "--target", "nobody", "--json"])
    for _, line in remote.messages(60):
        if "waiting for a domain 'nobody'" in line:
            break
    remote.kill(signal.SIGTERM)
    result = remote.wait(60)
    last = json.loads(result.out.splitlines()[-1])
    assert (result.status, last["event"], last["exit"]) == (130, "result", 130), result


def test_a_run_in_which_nothing_changes_says_so(lab: Lab, target: Target) -> None:
    result = launch(lab, FILES, "--timeout", "20s", "--status-every", "5s", "--period", "500ms")
    assert re.search(r"^\S+ target: intact for \d+ s, \d+ scans$", result.out, re.M), result
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d target: ")
    assert all(stamp.match(line) for line in result.out.splitlines()), result
    assert "not reported" not in result.out


def test_no_build_folder(lab: Lab) -> None:
    result = launch(lab, "/lab")
    assert (result.status, "holds no monitor" in result.err) == (2, True)


def test_an_image_that_is_none(lab: Lab, target: Target) -> None:
    lab.run(["cp", "-r", f"{BAD}/good", "/tmp/broken"]).check()
    lab.run(["sed", "-i", "s#../misbehave.elf#tinyvmi-good.gz#", "/tmp/broken/tinyvmi-good.cfg"]).check()
    result = launch(lab, "/tmp/broken")
    assert (result.status, "create -p" in result.err) == (4, True), result
    assert domid_of(lab, "tinyvmi-good") == -1
