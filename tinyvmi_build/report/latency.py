"""The worst time from a change to its report, by the formulas of docs/design/scheduling.md.

All times are seconds.  L: `monitor.poll`; P: `period`; j: `jitter`; S: how long a scan takes; C: what the
check costs; B: the longest that the monitor is busy with something else in one go; l: what an incremental
check costs; p: what the check of a page costs.  All is measured in the first scan, which digests everything;
later ones take less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyvmi_build.checks import registry
from tinyvmi_build.records.events import Event, Received, ScanDone, Worst, WorstTimes
from tinyvmi_build.records.format import CheckDone, KernelFound, Memory, RecordData, Tracking

TURNS = 100  # incremental checks in which all pages are compared in turn (checks/lib/page_cache.h)
REREAD_S = 0.02  # before a mismatch is read again (REREAD_NS, monitor/scan.c)
AGAIN_S = 1.0  # between two scans a whole check is not run again sooner than this …
SHARE = 100  # … nor than so many times what it costs (monitor/incremental.c)
GROUP = {"bytes": 128, "digest": 8}  # pages that are checked in one go (CHUNK_*, checks/text/text.c)

BY_TARGET = "code, constants, written by the target"
BY_OTHERS = "the same, written by others, `bytes`"
BY_OTHERS_DIGESTED = "the same, `digest`"
UNTRACKED = "code, constants, without write tracking"
WHOLE_CHECKS = "what other checks compare"
ANYTHING = 'anything, with `poll = "0ms"`'
_BY_SCAN = "P (1 + j) + S + C + 20 ms"
_BY_TURNS = "max(1 s, 100 C) + L + S + 2 C + 20 ms"
FORMULAS = {
    BY_TARGET: "L + B + 2 p + 20 ms",
    BY_OTHERS: "100 (L + l) + B + 2 p + 20 ms",
    BY_OTHERS_DIGESTED: _BY_SCAN,
    UNTRACKED: f"{_BY_SCAN}, or {_BY_TURNS} if less",
    WHOLE_CHECKS: f"{_BY_SCAN}, or {_BY_TURNS} if less",
    ANYTHING: _BY_SCAN,
}


@dataclass(frozen=True)
class Schedule:
    """The keys of the configuration that matter (`[monitor]`, `golden.comparison`)."""

    period_s: float
    jitter_pct: int
    poll_s: float
    time_budget_s: float
    comparison: str


@dataclass(frozen=True)
class Measured:
    """From the records of a first scan: cost (s) and items of each check, what the monitor can do."""

    costs: Mapping[str, float]
    items: Mapping[str, int]
    tracked: bool = True  # writes of the target are tracked
    digested: bool = False  # some pages are digested for want of memory, although bytes are to be compared


def scan_s(schedule: Schedule, seen: Measured) -> float:
    """S."""
    work = sum(seen.costs.values())
    yields = schedule.time_budget_s and schedule.time_budget_s < work < schedule.period_s / 2
    return schedule.period_s / 2 if yields else work


def incremental_checks() -> list[str]:
    """The names of the checks that have a form that runs between two scans."""
    return [check.name for check in registry.incremental()]


def busy_s(schedule: Schedule, seen: Measured) -> float:
    """B: a scan that does not yield; else a time budget and what it ends with, or all whole checks."""
    whole = scan_s(schedule, seen)
    if whole == sum(seen.costs.values()):
        return whole
    others = [cost for name, cost in seen.costs.items() if name not in incremental_checks()]
    group = GROUP[schedule.comparison] * _page_s(seen)
    return max(schedule.time_budget_s + max([group, *others]), sum(others))


def _page_s(seen: Measured) -> float:
    """p, of the check whose pages take longer."""
    checked = [name for name in incremental_checks() if seen.costs.get(name) and seen.items.get(name)]
    return max((seen.costs[name] / seen.items[name] for name in checked), default=0.0)


def worst_times(schedule: Schedule, seen: Measured) -> list[Worst]:
    """The rows that apply to a monitor, as docs/design/scheduling.md has them."""
    whole, busy, twice = scan_s(schedule, seen), busy_s(schedule, seen), 2 * _page_s(seen) + REREAD_S
    pause = max(schedule.period_s * (1 + schedule.jitter_pct / 100), whole)  # scans do not overlap

    def slowest(names: list[str]) -> str:
        return max(names, key=lambda name: seen.costs[name], default="")

    def by_scan(check: str) -> float:
        return pause + whole + seen.costs.get(check, 0.0) + REREAD_S

    def row(change: str, seconds: float, check: str) -> Worst:
        return Worst(change, round(seconds, 4), FORMULAS[change], check)

    def in_turn(change: str, check: str) -> Worst:
        cost = seen.costs.get(check, 0.0)
        again = max(AGAIN_S, SHARE * cost) + schedule.poll_s + whole + 2 * cost + REREAD_S
        return row(change, min(by_scan(check), again), check)

    pages = slowest([name for name in incremental_checks() if name in seen.costs])
    others = slowest([name for name in seen.costs if name not in incremental_checks()])
    if not schedule.poll_s:
        slow = slowest(list(seen.costs))
        return [row(ANYTHING, by_scan(slow), slow)]
    rows = []
    if pages and seen.tracked:
        rows.append(row(BY_TARGET, schedule.poll_s + busy + twice, pages))
        if schedule.comparison == "bytes":
            turns = TURNS * schedule.poll_s + sum(seen.costs.values())
            rows.append(row(BY_OTHERS, min(by_scan(pages), turns + busy + twice), pages))
        if schedule.comparison == "digest" or seen.digested:
            rows.append(row(BY_OTHERS_DIGESTED, by_scan(pages), pages))
    elif pages:
        rows.append(in_turn(UNTRACKED, pages))
    if others:
        rows.append(in_turn(WHOLE_CHECKS, others))
    return rows


class LatencyMeter:
    """Follows the events of one monitor; reports its worst times from its first scan of a kernel on."""

    def __init__(self, schedule: Schedule):
        self._schedule = schedule
        self._reported: WorstTimes | None = None
        self._forget()

    def _forget(self) -> None:
        self._costs: dict[str, float] = {}
        self._items: dict[str, int] = {}
        self._tracked = self._digested = self._scanned = False

    def following(self, events: list[Event]) -> list[Event]:
        """`events`, with new worst times behind the one that makes them known."""
        followed: list[Event] = []
        for event in events:
            followed.append(event)
            if isinstance(event, ScanDone):
                self._scanned = self._scanned or bool(self._costs)
            elif isinstance(event, Received):
                self._take(event.record.data)
            else:
                continue
            now = self._now() if self._scanned else None
            if now is not None:
                followed.append(now)
        return followed

    def _take(self, data: RecordData | None) -> None:
        match data:
            case KernelFound():
                self._forget()
            case CheckDone() if not self._scanned:
                self._costs[data.check] = data.duration_us / 1e6
                self._items[data.check] = data.items
            case Tracking():
                self._tracked = data.frames > 0
            case Memory():
                self._digested = data.digested > 0

    def _now(self) -> WorstTimes | None:
        """What has been measured so far comes to; None if that was reported."""
        seen = Measured(self._costs, self._items, self._tracked, self._digested)
        now = WorstTimes(round(scan_s(self._schedule, seen), 4), tuple(worst_times(self._schedule, seen)))
        if now == self._reported:
            return None
        self._reported = now
        return now
