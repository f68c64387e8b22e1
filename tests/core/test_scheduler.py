"""When the steps of a check run: in one go or within a time budget, with incremental checks in between."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest

from tests.core.conftest import check_table, compile_shared
from tinyvmi_build.paths import data_dir

UNITS = ("check_run", "incremental", "progress", "record", "records", "scan", "schedule", "tracking")
WORK_MS = 42  # of a scan, with a budget of 5 ms and a poll each 10 ms


class Scheduler:
    """The monitor's units over one check.  A scan gives what the check was asked, as scheduler.c logs it."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.scan.restype = ctypes.c_char_p

    def start(self, *, tracked: bool = True) -> None:
        self._library.start(WORK_MS, tracked)

    def answers(self, *, finding: bool = False, retry: bool = False) -> None:
        self._library.answer(finding, retry)

    def scan(self) -> str:
        return bytes(self._library.scan()).decode()


@pytest.fixture
def scheduler(tmp_path: Path) -> Scheduler:
    core = data_dir("minios_app")
    units = [core / "monitor" / f"{name}.c" for name in UNITS]
    others = [core / name for name in ("checks/lib/findings.c", "introspect/cost.c", "digest/crc32.c")]
    here = Path(__file__).parent
    around = [here / "scheduler.c", here / "no_target.c", check_table(tmp_path, "text")]
    made = Scheduler(compile_shared(tmp_path, "scheduler", *around, *units, *others))
    made.start()
    return made


def test_the_first_scan_does_not_yield(scheduler: Scheduler) -> None:
    assert scheduler.scan() == "bs"


def test_later_scans_yield_when_the_budget_is_spent(scheduler: Scheduler) -> None:
    """42 ms of work are nine steps; the check is resumed after each, with polls in between."""
    scheduler.scan()
    asked = scheduler.scan()
    assert re.fullmatch(r"bs(i+r){8}", asked), asked


def test_without_tracking_nothing_runs_in_between(scheduler: Scheduler) -> None:
    scheduler.start(tracked=False)
    scheduler.scan()
    assert scheduler.scan() == "bs" + 8 * "r"


def test_a_mismatch_is_read_again_at_once_and_in_one_go(scheduler: Scheduler) -> None:
    scheduler.scan()
    scheduler.answers(finding=True)
    asked = scheduler.scan()
    assert re.fullmatch(r"bs(i+r){8}zbs", asked), asked


def test_a_check_that_asks_to_begin_again_does_so_three_times(scheduler: Scheduler) -> None:
    scheduler.answers(retry=True)
    assert scheduler.scan() == "bs" + 3 * "zbs"
    # With a mismatch at the end, as often again: the second reading is a run like the first.
    scheduler.start()
    scheduler.answers(finding=True, retry=True)
    assert scheduler.scan() == "bs" + 3 * "zbs" + "zbs" + 3 * "zbs"
