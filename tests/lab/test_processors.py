"""A PVH target with four processors, watched while they come and go, work and stand still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.liveness import Follower, Life, ballooned, busy_and_paused, hotplug, tampered_and_back
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.profile.profile import ProfileFile

pytestmark = pytest.mark.long
NAME = "four"


@pytest.fixture(scope="module")
def life(lab: Lab) -> Iterator[Life]:
    target = Life(lab, NAME, vcpus=4)
    yield target
    target.destroy()


@pytest.fixture(scope="module")
def follower(lab: Lab, life: Life) -> Iterator[Follower]:
    follower = Follower(lab, target=NAME)
    yield follower
    follower.stop()


@pytest.fixture(scope="module")
def kernel(follower: Follower, life: Life) -> dict[str, Any]:
    life.start()
    follower.attached()
    record = follower.kernel()
    life.up(1)
    return record


def test_all_of_them(follower: Follower, life: Life, kernel: dict[str, Any], profiles: ProfileFile) -> None:
    assert life.up(1).run("cat /sys/devices/system/cpu/online").check().out.split()[-1] == "0-3"
    follower.intact(3)
    tampered_and_back(follower, LiveGuest(life.up(1), kernel, profiles))


def test_they_come_and_go(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    hotplug(follower, life)


def test_tampered_with_while_one_is_away(
    follower: Follower, life: Life, kernel: dict[str, Any], profiles: ProfileFile
) -> None:
    target = life.up(1)
    target.run("echo 0 > /sys/devices/system/cpu/cpu3/online").check()
    tampered_and_back(follower, LiveGuest(target, kernel, profiles))
    target.run("echo 1 > /sys/devices/system/cpu/cpu3/online").check()
    follower.intact(3)


def test_busy_and_paused(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    busy_and_paused(follower, life)


def test_ballooned(follower: Follower, life: Life, kernel: dict[str, Any]) -> None:
    ballooned(follower, life)
