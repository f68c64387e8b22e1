"""`tinyvmi-build launch` on a dom0: what is missing, what is refused, and monitors that go wrong."""

from __future__ import annotations

import json
import signal

import pytest

from tests.lab.conftest import BAD
from tests.lab.misbehave.folder import modes
from tinyvmi_build.lab.agent import Result
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
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert result.status == 5
    assert (lines[0]["event"], lines[0]["target"]) == ("attached", target.domid)
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


def test_a_monitor_that_is_there_already(lab: Lab, target: Target) -> None:
    assert launch(lab, f"{BAD}/silent", "--timeout", "1s", "--keep").status == 6
    try:
        result = launch(lab, f"{BAD}/silent")
        assert (result.status, "exists already" in result.err) == (4, True)
    finally:
        lab.run(["xl", "destroy", "tinyvmi-silent"]).check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(lab: Lab, target: Target, number: int) -> None:
    remote = lab.spawn(["tinyvmi-build", "launch", f"{BAD}/silent"])
    for _, line in remote.messages(60):
        if "monitor is domain" in line:
            break
    remote.kill(number)
    assert remote.wait(60).status == 130
    assert domid_of(lab, "tinyvmi-silent") == -1


def test_no_build_folder(lab: Lab) -> None:
    result = launch(lab, "/lab")
    assert (result.status, "holds no monitor" in result.err) == (2, True)


def test_an_image_that_is_none(lab: Lab, target: Target) -> None:
    lab.run(["cp", "-r", f"{BAD}/good", "/tmp/broken"]).check()
    lab.run(["sed", "-i", "s#../misbehave.elf#tinyvmi-good.gz#", "/tmp/broken/tinyvmi-good.cfg"]).check()
    result = launch(lab, "/tmp/broken")
    assert (result.status, "create -p" in result.err) == (4, True), result
    assert domid_of(lab, "tinyvmi-good") == -1
