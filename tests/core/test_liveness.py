"""Whether the kernel that is watched still runs, when something is found in it: how soon that is known."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.core.conftest import compile_shared
from tinyvmi_build.paths import data_dir

MS = 1_000_000
POLL = 100 * MS


class Target:
    """liveness.c and what it watches."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.take.argtypes = [ctypes.c_bool]
        library.target.argtypes = [ctypes.c_uint32, ctypes.c_uint64, ctypes.c_bool]
        getattr(library, "pass").argtypes = [ctypes.c_uint64]
        library.still_there.restype = ctypes.c_bool
        library.clock_ns.restype = ctypes.c_uint64

    def found(self, may_ask: bool = True) -> None:
        """By a monitor that Xen answers about the target, or does not."""
        self._library.take(may_ask)

    def does(self, percent: int, tick_ms: float, waits: bool) -> None:
        """Works so much of a processor from now on, ticks so often (0: never), waits when asked about."""
        self._library.target(percent, round(tick_ms * MS), waits)

    def polls(self, count: int) -> None:
        for _ in range(count):
            getattr(self._library, "pass")(POLL)
            self._library.poll()

    def passes(self, ms: float) -> None:
        getattr(self._library, "pass")(round(ms * MS))

    def still_there(self) -> tuple[bool, float]:
        """(that, ms until it was known)."""
        start = self._library.clock_ns()
        there = self._library.still_there()
        return there, (self._library.clock_ns() - start) / MS


@pytest.fixture
def target(tmp_path: Path) -> Target:
    room = data_dir("minios_app") / "introspect"
    shutil.copy(room / "internal.h", tmp_path)
    shutil.copy(Path(__file__).parent / "liveness.c", tmp_path / "around.c")
    return Target(
        compile_shared(tmp_path, "life", tmp_path / "around.c", room / "liveness.c", room / "clock.c")
    )


def test_an_idle_one_is_taken_at_once(target: Target) -> None:
    """It ticks every 400 ms; whoever is asked about it need not wait for the next."""
    target.found()
    target.does(1, 400, waits=True)
    target.polls(10)
    assert target.still_there() == (True, 0)


def test_a_busy_one_ticks(target: Target) -> None:
    target.found()
    target.does(100, 4, waits=False)
    target.polls(10)
    assert target.still_there() == (True, 20)


def test_one_that_works_without_a_tick_is_another(target: Target) -> None:
    target.found()
    target.does(100, 4, waits=False)
    target.polls(10)
    target.does(100, 0, waits=False)
    there, ms = target.still_there()
    assert not there
    assert ms >= 500


@pytest.mark.parametrize("ms", [35, 99])
def test_another_that_waits_after_its_work_is_not_taken_for_it(target: Target, ms: int) -> None:
    """The last tick and what followed, between two polls: the work since the first of them counts."""
    target.found()
    target.does(1, 400, waits=True)
    target.polls(10)
    target.does(100, 0.5, waits=True)
    target.passes(1)
    target.does(100, 0, waits=True)
    target.passes(ms)
    target.polls(1)
    target.does(0, 0, waits=True)
    there, waited = target.still_there()
    assert waited >= 1000
    assert there  # after a second's sleep, in which nothing is replaced


def test_without_an_answer(target: Target) -> None:
    """Without Xen's answer there is the clock alone, which is not waited for."""
    target.found(may_ask=False)
    target.does(1, 400, waits=True)
    target.polls(10)
    assert target.still_there() == (True, 0)


def test_one_that_runs_just_now_has_to_tick(target: Target) -> None:
    target.found()
    target.does(1, 400, waits=False)
    target.polls(10)
    assert target.still_there() == (True, 200)
