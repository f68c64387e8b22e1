"""When a run in which nothing changes says so, and how a person reads times."""

from __future__ import annotations

import pytest

from tinyvmi_build.records.events import ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.reporter import Status
from tinyvmi_build.report.status import StatusTimer
from tinyvmi_build.report.words import long_time


def test_it_is_due_after_each_interval_and_counts_from_the_last_change() -> None:
    now = [0.0]
    timer = StatusTimer(3600, clock=lambda: now[0])
    now[0] = 5000
    assert timer.due() is None  # nothing was scanned yet
    timer.events([ScanDone(1, Verdict.INTACT)])
    now[0] += 3599
    assert timer.due() is None
    timer.events([ScanDone(2, Verdict.INTACT)])
    now[0] += 1
    assert timer.due() == Status(Verdict.INTACT, 3600, 2)
    assert timer.due() is None
    now[0] += 3600
    assert timer.due() == Status(Verdict.INTACT, 7200, 2)
    timer.events([ScanDone(3, Verdict.TAMPERED)])
    now[0] += 3599
    assert timer.due() is None
    now[0] += 1
    assert timer.due() == Status(Verdict.TAMPERED, 3600, 1)


def test_zero_is_never() -> None:
    now = [0.0]
    timer = StatusTimer(0, clock=lambda: now[0])
    timer.events([ScanDone(1, Verdict.INTACT)])
    now[0] = 1e9
    assert timer.due() is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (5400, "1 h 30 min")]
    + [(86400, "1 d"), (99 * 3600, "4 d 3 h")],
)
def test_times_as_a_person_reads_them(seconds: float, text: str) -> None:
    assert long_time(seconds) == text
