"""What happens in a run, as the collector sees it: every reporter gets these."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvmi_build.records.protocol import Broken, Record, Text
from tinyvmi_build.records.verdict import Verdict


@dataclass(frozen=True)
class Received:
    """A good record that fits into the stream."""

    record: Record


@dataclass(frozen=True)
class ScanDone:
    """The monitor has completed `scan` scans; `verdict` is that of the last one."""

    scan: int
    verdict: Verdict


@dataclass(frozen=True)
class Lost:
    """The monitor is lost.  Reported once a run."""

    reason: str


@dataclass(frozen=True)
class Finished:
    """The monitor sent `bye`."""

    reason: str
    verdict: Verdict | None


@dataclass(frozen=True)
class Stopped:
    """Somebody asked `launch` to end; the run's verdict is that of what was checked until then."""

    reason: str


@dataclass(frozen=True)
class Worst:
    """One row: the worst `seconds` from a change to its report, by the slowest `check` that reports it."""

    change: str
    seconds: float
    formula: str
    check: str


@dataclass(frozen=True)
class WorstTimes:
    """The worst times to detection, after a first scan and when they change (report/latency.py)."""

    scan_s: float
    rows: tuple[Worst, ...]


Event = Text | Broken | Received | ScanDone | WorstTimes | Lost | Stopped | Finished
