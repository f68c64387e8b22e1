"""The life of a PV target: one `launch` follows it; what can begin anew in its domain, and what cannot.

Xen's soft reset refuses PV guests (docs/design/discovery.md): each kernel has a domain of its own.  That a
kernel is put aside by its root and checked again later is shown by its clock, stopped from outside.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.liveness import STOPPED, Follower, Life, ballooned, busy_and_paused, hotplug, tampered_and_back
from tinyvmi_build.checks.tamper import change
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.lab.monitor import FILES, LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.render.plan import seclabel

pytestmark = pytest.mark.long
NAME = "pvlife"
RAMDISK = "/lab/target/initramfs"


@pytest.fixture(scope="module")
def life(flask_lab: Lab, full: Loaded) -> Iterator[Life]:
    made = Life(flask_lab, NAME, "pv", vcpus=4, label=seclabel(full.config, "target"))
    yield made
    made.destroy()


@pytest.fixture(scope="module")
def follower(flask_lab: Lab, life: Life) -> Iterator[Follower]:
    """Started before there is a target; the tests of this module build on each other."""
    follower = Follower(flask_lab, folder=FILES, target=NAME)
    yield follower
    follower.stop()


@pytest.fixture(scope="module")
def kernel(follower: Follower, life: Life) -> dict[str, Any]:
    life.start(ramdisk=RAMDISK)
    follower.attached()
    record = follower.kernel()
    life.up(1)
    follower.settled()
    return record


def test_found_as_it_boots(follower: Follower, kernel: dict[str, Any]) -> None:
    assert kernel["pv"] == 1
    follower.intact(3)


def test_tampered_with_on_four_processors(
    follower: Follower, life: Life, kernel: dict[str, Any], profiles: ProfileFile
) -> None:
    tampered_and_back(follower, LiveGuest(life.up(1), kernel, profiles))


def test_processors_that_come_and_go(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    hotplug(follower, life)


def test_busy_and_paused(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    busy_and_paused(follower, life)


def test_ballooned(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    ballooned(follower, life)


def test_its_clock_stops_and_goes_on(
    follower: Follower, life: Life, kernel: dict[str, Any], profiles: ProfileFile
) -> None:
    """Put aside at once, by its root; when it ticks again it is found again, and intact."""
    memory = LiveGuest(life.up(1), kernel, profiles)
    start = len(follower.events)
    with_work(life)
    stop_clock(memory, True)
    follower.waiting(STOPPED)
    stop_clock(memory, False)
    assert follower.kernel() == {**kernel, "duration_us": follower.events[-1]["record"]["duration_us"]}
    follower.intact(3)
    assert verdicts(follower.events[start:]) == {"intact"}


def test_damage_while_its_clock_stands(
    follower: Follower, life: Life, kernel: dict[str, Any], profiles: ProfileFile
) -> None:
    """Stopping the clock hides nothing: after ten seconds of work its memory is checked as it is."""
    memory = LiveGuest(life.up(1), kernel, profiles)
    with_work(life)
    stop_clock(memory, True)
    follower.waiting(STOPPED)
    undo = change("syscall-table-getdents64").apply(memory)
    reported = follower.until(
        lambda event: event.get("record", {}).get("type") == "finding", 120, "the finding of a stopped kernel"
    )
    assert reported["record"]["check"] == "syscall-table"
    undo()
    stop_clock(memory, False)
    follower.kernel()
    follower.intact(3)


def test_rebooted(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    old = life.up(1)
    old.run("reboot -f > /dev/null 2>&1 & sleep 0")
    again(follower, life, 2, old.domid)


def test_crashed_and_restarted(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    old = life.up(2)
    old.run("(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 & sleep 0")
    again(follower, life, 3, old.domid)


def test_crashed_and_preserved(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    """Its memory stays, but nobody runs there: the run ends, and the next domain of its name is taken."""
    life.destroy()
    follower.ended()
    boots = life.boots
    life.start(ramdisk=RAMDISK, more='on_crash = "preserve"\n')
    follower.attached()
    follower.kernel()
    target = life.up(boots + 1)
    follower.settled()
    start = len(follower.events)
    target.run("(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 & sleep 0")
    assert follower.ended()["bye"] == "target-gone"
    assert "tampered" not in verdicts(follower.events[start:])
    assert target.domid in [int(line.split()[1]) for line in listed(life) if line.startswith(NAME)]
    life.destroy()
    life.start(ramdisk=RAMDISK)
    again(follower, life, boots + 2, target.domid, ended=True)


def again(follower: Follower, life: Life, boots: int, old: int, *, ended: bool = False) -> None:
    """The run over domain `old` ends well, and its successor is found and intact."""
    if not ended:
        assert follower.ended()["bye"] == "target-gone"
    assert follower.attached()["target"] != old
    assert follower.kernel()["pv"] == 1
    life.up(boots)
    follower.settled()
    follower.intact(3)


def listed(life: Life) -> list[str]:
    return life.lab.run(["xl", "list"]).check().out.splitlines()


def with_work(life: Life) -> None:
    """It is seen to work: without a tick that means that the kernel has gone."""
    life.up(1).run(
        "(sleep 0; n=0; while [ $n -lt 100000000 ]; do n=$((n + 1)); done) > /dev/null 2>&1 &"
    ).check()


def stop_clock(memory: LiveGuest, stop: bool) -> None:
    """kernel/time/timekeeping.c: no tick advances the clock while timekeeping is suspended."""
    memory.write(memory.profile.symbols.lookup("timekeeping_suspended"), struct.pack("<I", stop))


def verdicts(events: list[dict[str, Any]]) -> set[str]:
    return {e["record"]["verdict"] for e in events if e.get("record", {}).get("type") == "check"} | {
        e["verdict"] for e in events if e["event"] == "scan"
    }
