"""Figures from measurements: the cost of each check, of groups of checks, of their phases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tinyvmi_build.bench.measurements import Cost, Measurements
from tinyvmi_build.bench.plan import LIBVMI, LIMIT, STEADY
from tinyvmi_build.bench.statistics import Spread, spread
from tinyvmi_build.checks import registry

#: The checks that compare pages, which have an incremental form: the largest first.
PAGED = tuple(check.name for check in reversed(registry.incremental()))
DIGESTED = " + ".join(PAGED)
#: Rows that sum up checks: name → the checks, None: all there are.
GROUPS: dict[str, tuple[str, ...] | None] = {DIGESTED: PAGED, "all checks": None}
# Scans of a run: the first maps and digests, the second may still store what the first has verified, and
# all later ones cost the same.  An incremental check is less than a scan.
FIRST, SECOND, LATER, INCREMENTAL = "first", "second", "later", "incremental"
WHOLE, MAPPING, WORK = "whole", "mapping", "work"  # of a check; work is all but mapping
READING, SITES, HASHING, OTHER = "reading", "sites", "hashing", "other"  # of the work
REPORTING = "reporting"  # of its records, beside the whole
#: The parts that a whole is the sum of.
PARTS = (MAPPING, READING, SITES, HASHING, OTHER)
_FIELDS = {READING: "read_ns", SITES: "sites_ns", HASHING: "hash_ns", REPORTING: "report_ns"}


@dataclass(frozen=True)
class Figure:
    """The cost of one thing, in ns; `pages` are those that it is the cost of, 0 if it has none."""

    who: str
    what: str
    scan: str
    phase: str
    pages: int
    ns: Spread


def figures(measured: Measurements) -> list[Figure]:
    """All figures, in the order in which the checks are made; the groups last."""
    values: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    pages: dict[tuple[str, str], int] = {}
    for cost in measured.costs:
        for phase, ns in _phases(cost).items():
            values[cost.who, cost.check, _scan_kind(cost), phase].append(ns)
        is_reader = cost.who in (LIMIT, LIBVMI)
        pages[cost.who, cost.check] = cost.map_pages if is_reader else measured.items.get(cost.check, 0)
    found = [
        Figure(who, what, scan, phase, pages[who, what], summary)
        for (who, what, scan, phase), ns in values.items()
        if (summary := spread(ns)) is not None
    ]
    return found + _groups(measured, pages)


def _phases(cost: Cost) -> dict[str, float]:
    """Phase → ns of one cost; the parts of the work are there if the cost has them."""
    mapping = min(cost.map_ns, cost.took_ns)
    found: dict[str, float] = {WHOLE: cost.took_ns, MAPPING: mapping, WORK: cost.took_ns - mapping}
    if cost.parts:
        found |= {phase: cost.parts[name] for phase, name in _FIELDS.items()}
        found[OTHER] = max(0, found[WORK] - sum(found[phase] for phase in (READING, SITES, HASHING)))
    return found


def _scan_kind(cost: Cost) -> str:
    if cost.incremental:
        return INCREMENTAL
    if cost.who in (LIMIT, LIBVMI) or cost.scan >= STEADY:
        return LATER
    return SECOND if cost.scan else FIRST


def _groups(measured: Measurements, pages: dict[tuple[str, str], int]) -> list[Figure]:
    """Sums are made scan by scan, so that their spread is that of whole scans."""
    sums: dict[tuple[str, str, str], dict[tuple[int, int], list[Cost]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for cost in measured.costs:
        if cost.who in (LIMIT, LIBVMI) or cost.incremental:
            continue
        for group, members in GROUPS.items():
            if members is None or cost.check in members:
                sums[cost.who, group, _scan_kind(cost)][cost.round, cost.scan].append(cost)
    found = []
    for (who, group, scan), scans in sums.items():
        members = GROUPS[group]
        size = sum(pages.get((who, name), 0) for name in members) if members else 0
        for phase, totals in _totals(scans.values()).items():
            summary = spread(totals)
            if summary:
                found.append(Figure(who, group, scan, phase, size, summary))
    return found


def _totals(scans: Iterable[list[Cost]]) -> dict[str, list[float]]:
    """Phase → the sum of each scan's costs."""
    found: dict[str, list[float]] = defaultdict(list)
    for costs in scans:
        total: dict[str, float] = defaultdict(float)
        for cost in costs:
            for phase, ns in _phases(cost).items():
                total[phase] += ns
        for phase, ns in total.items():
            found[phase].append(ns)
    return found


def pick(
    found: Iterable[Figure], who: str, what: str, scan: str = LATER, phase: str = WHOLE
) -> Figure | None:
    """The one figure, None if it was not measured."""
    return next((f for f in found if (f.who, f.what, f.scan, f.phase) == (who, what, scan, phase)), None)
