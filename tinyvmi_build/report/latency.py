"""The worst time from a change to its being told, by the formulas of docs/design/scheduling.md.

All times are seconds.  L: `look`; P: `period`; j: `jitter`; S: how long a scan takes; C: what the check
costs; B: the longest that the monitor is busy with something else in one go; l: what a look costs; p: the
judging of a page.  All is measured in the first scan, which digests everything; later ones take less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tinyvmi_build.checks import registry

TURNS = 100  # looks in which all pages are compared in turn (TV_KEPT_TURNS, checks/lib/page_cache.h)
REREAD_S = 0.02  # before what is wrong is read again (REREAD_NS, monitor/scan.c)
AGAIN_S = 1.0  # a check is not run again by a look sooner than this …
SHARE = 100  # … nor than so many times what it costs (monitor/incremental.c)
GROUP = {"bytes": 128, "digest": 8}  # pages that are judged in one go (CHUNK_*, checks/text/text.c)

BY_TARGET = "code, constants, written by the target"
BY_OTHERS = "the same, written by others, `bytes`"
BY_OTHERS_DIGESTED = "the same, `digest`"
UNTRACKED = "code, constants, without tracking"
UNLOOKED = "what checks without looks compare"
ANYTHING = 'anything, with `look = "0ms"`'
_BY_SCAN = "P (1 + j) + S + C + 20 ms"
_BY_TURNS = "max(1 s, 100 C) + L + S + 2 C + 20 ms"
FORMULAS = {
    BY_TARGET: "L + B + 2 p + 20 ms",
    BY_OTHERS: "100 (L + l) + B + 2 p + 20 ms",
    BY_OTHERS_DIGESTED: _BY_SCAN,
    UNTRACKED: f"{_BY_SCAN}, or {_BY_TURNS} if that is less",
    UNLOOKED: f"{_BY_SCAN}, or {_BY_TURNS} if that is less",
    ANYTHING: _BY_SCAN,
}


@dataclass(frozen=True)
class Rhythm:
    """What the configuration says (`[monitor]`, `golden.comparison`)."""

    period_s: float
    jitter_pct: int
    poll_s: float
    time_budget_s: float
    comparison: str


@dataclass(frozen=True)
class Seen:
    """What the monitor has said: cost (s) and units of each check of its first scan; and what it can do."""

    costs: Mapping[str, float]
    units: Mapping[str, int]
    tracked: bool = True  # writes of the target are tracked
    digested: bool = False  # some pages are digested for want of memory, although bytes are to be compared


@dataclass(frozen=True)
class Worst:
    """One row: the worst `seconds` from a change to its being told, by the slowest `check` that may."""

    change: str
    seconds: float
    formula: str
    check: str


def scan_s(rhythm: Rhythm, seen: Seen) -> float:
    """S."""
    work = sum(seen.costs.values())
    sliced = rhythm.time_budget_s and rhythm.time_budget_s < work < rhythm.period_s / 2
    return rhythm.period_s / 2 if sliced else work


def incremental_checks() -> list[str]:
    """The names of the checks that have a form that runs between two scans."""
    return [check.name for check in registry.incremental()]


def busy_s(rhythm: Rhythm, seen: Seen) -> float:
    """B: a scan that does not rest; else a slice and what it ends with, or all checks that one look runs."""
    whole = scan_s(rhythm, seen)
    if whole == sum(seen.costs.values()):
        return whole
    others = [cost for name, cost in seen.costs.items() if name not in incremental_checks()]
    group = GROUP[rhythm.comparison] * _page_s(seen)
    return max(rhythm.time_budget_s + max([group, *others]), sum(others))


def _page_s(seen: Seen) -> float:
    """p, of the check whose pages take longer."""
    judged = [name for name in incremental_checks() if seen.costs.get(name) and seen.units.get(name)]
    return max((seen.costs[name] / seen.units[name] for name in judged), default=0.0)


def worst_times(rhythm: Rhythm, seen: Seen) -> list[Worst]:
    """The rows that apply to a monitor, as docs/design/scheduling.md has them."""
    whole, busy, twice = scan_s(rhythm, seen), busy_s(rhythm, seen), 2 * _page_s(seen) + REREAD_S
    pause = max(rhythm.period_s * (1 + rhythm.jitter_pct / 100), whole)  # scans do not overlap

    def slowest(names: list[str]) -> str:
        return max(names, key=lambda name: seen.costs[name], default="")

    def by_scan(check: str) -> float:
        return pause + whole + seen.costs.get(check, 0.0) + REREAD_S

    def row(change: str, seconds: float, check: str) -> Worst:
        return Worst(change, round(seconds, 4), FORMULAS[change], check)

    def in_turn(change: str, check: str) -> Worst:
        cost = seen.costs.get(check, 0.0)
        again = max(AGAIN_S, SHARE * cost) + rhythm.poll_s + whole + 2 * cost + REREAD_S
        return row(change, min(by_scan(check), again), check)

    pages = slowest([name for name in incremental_checks() if name in seen.costs])
    others = slowest([name for name in seen.costs if name not in incremental_checks()])
    if not rhythm.poll_s:
        slow = slowest(list(seen.costs))
        return [row(ANYTHING, by_scan(slow), slow)]
    rows = []
    if pages and seen.tracked:
        rows.append(row(BY_TARGET, rhythm.poll_s + busy + twice, pages))
        if rhythm.comparison == "bytes":
            looks = TURNS * rhythm.poll_s + sum(seen.costs.values())
            rows.append(row(BY_OTHERS, min(by_scan(pages), looks + busy + twice), pages))
        if rhythm.comparison == "digest" or seen.digested:
            rows.append(row(BY_OTHERS_DIGESTED, by_scan(pages), pages))
    elif pages:
        rows.append(in_turn(UNTRACKED, pages))
    if others:
        rows.append(in_turn(UNLOOKED, others))
    return rows


@dataclass(frozen=True)
class WorstTimes:
    """Told when a first scan has been measured, and when what it was worked out from changes."""

    scan_s: float
    rows: tuple[Worst, ...]

    def fields(self) -> dict[str, Any]:
        """As JSON."""
        return {"scan_s": self.scan_s, "rows": [asdict(each) for each in self.rows]}


class Measuring:
    """Takes in records of one monitor; knows its worst times from its first scan of a kernel on."""

    def __init__(self, rhythm: Rhythm):
        self._rhythm = rhythm
        self._told: WorstTimes | None = None
        self._forget()

    def _forget(self) -> None:
        self._costs: dict[str, float] = {}
        self._units: dict[str, int] = {}
        self._tracked = self._digested = self._scanned = False

    def take(self, body: Mapping[str, Any]) -> WorstTimes | None:
        """What a record (docs/design/architecture.md) makes known, if it is new."""
        kind = body["type"]
        if kind == "kernel":
            self._forget()
        elif kind == "check" and not self._scanned:
            self._costs[body["check"]] = body["duration_us"] / 1e6
            self._units[body["check"]] = body["items"]
        elif kind == "tracking":
            self._tracked = body["frames"] > 0
        elif kind == "memory":
            self._digested = body["digested"] > 0
        return self._now() if self._scanned else None

    def scanned(self) -> WorstTimes | None:
        """A scan is over."""
        self._scanned = self._scanned or bool(self._costs)
        return self._now() if self._scanned else None

    def _now(self) -> WorstTimes | None:
        seen = Seen(self._costs, self._units, self._tracked, self._digested)
        now = WorstTimes(round(scan_s(self._rhythm, seen), 4), tuple(worst_times(self._rhythm, seen)))
        if now == self._told:
            return None
        self._told = now
        return now
