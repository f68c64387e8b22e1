"""The life of a target under Xen: one `launch` follows it, and nobody has to do anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.lab.liveness import NAME, Follower, Life, ballooned, release_in
from tinyvmi_build.lab.monitor import FILES
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import domid_of
from tinyvmi_build.timeouts import timeout

KEXEC = "(sleep 1; /kexec /vmlinuz /initramfs 'console=hvc0') > /dev/null 2>&1 & sleep 0"


@pytest.fixture(scope="module")
def life(lab: Lab) -> Iterator[Life]:
    target = Life(lab)
    yield target
    target.destroy()


@pytest.fixture(scope="module")
def follower(lab: Lab, life: Life) -> Iterator[Follower]:
    """Started before there is a target; the tests of this module build on each other."""
    follower = Follower(lab)
    yield follower
    follower.stop()
    assert domid_of(lab, "tinyvmi-life") == -1


def test_the_monitor_was_there_first(follower: Follower, life: Life) -> None:
    """Attached to a domain that has not booted: waiting, and then its kernel is found and intact."""
    life.start()
    first = follower.attached()
    follower.kernel()
    target = life.up(1)
    follower.intact(3)
    assert target.domid == first["target_domain"]
    reasons = [e["record"]["reason"] for e in follower.events if e.get("record", {}).get("type") == "waiting"]
    assert reasons, "the target had booted before it was watched; the test shows nothing"
    assert len(reasons) == len(set(reasons)), "a slow boot goes back to a reason that was reported before"


def test_busy(follower: Follower, life: Life) -> None:
    """All of its processor used by one process."""
    target = life.up(1)
    target.run("(while :; do :; done) & echo $! > /tmp/busy").check()
    follower.intact(10)
    target.run("kill $(cat /tmp/busy)").check()


def test_paused(follower: Follower, life: Life) -> None:
    """Its memory can be read, and time stands still for it: that is no sign of another kernel."""
    target = life.up(1)
    target.pause()
    follower.intact(15)
    target.unpause()
    follower.intact(5)


def test_ballooned(follower: Follower, life: Life) -> None:
    """Frames go and come back while it is watched."""
    ballooned(follower, life)


def test_rebooted(follower: Follower, life: Life) -> None:
    old = life.up(1).domid
    life.up(1).run("reboot -f > /dev/null 2>&1 & sleep 0")
    assert follower.ended()["exit"] == 0
    assert follower.attached()["target"] != old
    follower.kernel()
    life.up(2)
    follower.intact(3)


def test_crashed_and_restarted(follower: Follower, life: Life) -> None:
    life.up(2).run("(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 & sleep 0")
    assert follower.ended()["exit"] == 0
    follower.attached()
    follower.kernel()
    life.up(3)
    follower.intact(3)


def test_saved_and_restored(follower: Follower, life: Life) -> None:
    # Through a pipe into gzip: dom0's file system is its memory, and has no room for the target's.
    life.lab.run(
        ["sh", "-c", f"mkfifo /run/pipe; gzip -1 < /run/pipe > /run/saved & xl save {NAME} /run/pipe; wait"],
        240,
    ).check()
    ended = follower.ended()
    assert (ended["bye"], ended["exit"]) == ("target-gone", 0)
    life.lab.run(["sh", "-c", "gunzip < /run/saved > /run/pipe & xl restore /run/pipe"], 240).check()
    life.lab.run(["rm", "/run/saved", "/run/pipe"])
    follower.attached()
    follower.kernel()
    follower.intact(3)


def test_migrated(follower: Follower, life: Life) -> None:
    """To this same host: the monitor ends with the domain that left, and another greets the one that came."""
    old = domid_of(life.lab, NAME)
    life.lab.run(["xl", "migrate", "-s", "", NAME, "xl migrate-receive"], 300).check()
    assert follower.ended()["bye"] == "target-gone"
    assert follower.attached()["target"] != old
    follower.kernel()
    follower.intact(3)


@pytest.mark.long
def test_kexec(follower: Follower, life: Life) -> None:
    """A guest of Xen asks for a soft reset first, and xl has none for PVH: it destroys the domain."""
    start = len(follower.events)
    life.up(life.boots).run(KEXEC)
    assert follower.ended()["bye"] == "target-gone"
    assert "tampered" not in {event.get("verdict") for event in follower.events[start:]}
    deadline = time.monotonic() + timeout(30)
    while domid_of(life.lab, NAME) >= 0:
        assert time.monotonic() < deadline, life.lab.run(["cat", f"/var/log/xen/xl-{NAME}.log"]).out
        time.sleep(0.5)


@pytest.mark.long
def test_kexec_that_restarts(follower: Follower, life: Life) -> None:
    """With on_soft_reset = "restart" the domain's next kernel begins in a new domain."""
    boots = life.boots
    life.start(more='on_soft_reset = "restart"\n')
    old = follower.attached()["target"]
    follower.kernel()
    life.up(boots + 1).run(KEXEC)
    assert follower.ended()["bye"] == "target-gone"
    assert follower.attached()["target"] != old
    follower.kernel()
    life.up(boots + 2)
    follower.intact(3)
    life.destroy()
    follower.ended()


def test_upgraded(follower: Follower, life: Life) -> None:
    """It boots another kernel: the image's other profile is taken."""
    if domid_of(life.lab, NAME) >= 0:
        life.destroy()
        follower.ended()
    boots = life.boots
    life.start(other=True)
    follower.attached()
    assert follower.kernel()["release"].startswith("5.10.")
    life.up(boots + 1)
    follower.intact(3)


def test_a_kernel_that_the_image_does_not_know(lab: Lab, life: Life, follower: Follower) -> None:
    """One plain word, with the banner that is in its memory; never intact, never tampered."""
    follower.stop()
    other = Follower(lab, folder=FILES)
    try:
        said = other.until(lambda event: "banner" in event.get("record", {}), 180, "a banner")
        other.stop()
        assert release_in(said["record"]["banner"]).startswith("5.10.")
        assert said["record"]["reason"] == "no kernel that this image knows is in the target's memory"
        assert other.checks == []
    finally:
        other.stop()
