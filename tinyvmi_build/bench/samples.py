"""What `inside` told → figures: cost of each check, of groups of them, of the phases."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tinyvmi_build.bench.plan import LIBVMI, LIMIT, STEADY
from tinyvmi_build.bench.statistics import Spread, spread

#: Rows that sum up checks: name → the checks, None: all there are.
GROUPS: dict[str, tuple[str, ...] | None] = {"text + rodata": ("text", "rodata"), "all checks": None}
# Scans of a run: the first maps and digests, the second may still put by what the first has proved; what
# comes later is the steady state.  A look is less than a scan.
FIRST, SECOND, LATER, LOOK = "first", "second", "later", "look"
WHOLE, MAPPING, WORK = "whole", "mapping", "work"  # of a check; work is all but mapping
READING, SITES, HASHING, REST = "reading", "sites", "hashing", "rest"  # of the work
REPORTING = "reporting"  # of its records, beside the whole
#: The parts that a whole is the sum of, and what is beside it.
PARTS = (MAPPING, READING, SITES, HASHING, REST)
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


@dataclass
class Told:
    """The lines of one `inside`, by kind."""

    costs: list[dict[str, Any]] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=dict)  # check → what the monitor or dom0 compares in it
    verdicts: set[str] = field(default_factory=set)
    timings: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    kernels: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """One line; what is no JSON object with a known `t` is ignored."""
        try:
            body = json.loads(line)
            kind, who = body["type"], body["who"]
        except (ValueError, KeyError, TypeError):
            return
        if body["round"] == 0 and kind != "failed":  # it warmed what was cold
            return
        if kind == "cost":
            self.costs.append(body)
        elif kind == "check":
            self.units[body["check"]] = body["items"]
            self.verdicts.add(body["verdict"])
        elif kind == "timing":
            self.timings[who].append(
                {k: v for k, v in body.items() if isinstance(v, float | int) and k != "round"}
            )
        elif kind == "kernel":
            self.kernels[who].append(body)
        elif kind == "failed":
            self.failed.append(f"{who}, round {body['round']}: {body['what']}")


def figures(told: Told) -> list[Figure]:
    """All figures, in the order in which the checks are made; the groups last."""
    values: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    pages: dict[tuple[str, str], int] = {}
    for body in told.costs:
        scan = _kind(body)
        for phase, ns in _phases(body).items():
            values[body["who"], body["check"], scan, phase].append(ns)
        compared = body["map_pages"] if body["who"] in (LIMIT, LIBVMI) else told.units.get(body["check"], 0)
        pages[body["who"], body["check"]] = compared
    found = [
        Figure(who, what, scan, phase, pages[who, what], summary)
        for (who, what, scan, phase), all_of_it in values.items()
        if (summary := spread(all_of_it)) is not None
    ]
    return found + _groups(told, pages)


def _phases(body: dict[str, Any]) -> dict[str, float]:
    """Phase → ns of one `cost`; those within are there if it tells them."""
    whole, mapping = body["took_ns"], min(body["map_ns"], body["took_ns"])
    found = {WHOLE: whole, MAPPING: mapping, WORK: whole - mapping}
    if all(name in body for name in _FIELDS.values()):
        found |= {phase: body[name] for phase, name in _FIELDS.items()}
        found[REST] = max(0, found[WORK] - sum(found[phase] for phase in (READING, SITES, HASHING)))
    return found


def _kind(body: dict[str, Any]) -> str:
    if body.get("incremental"):
        return LOOK
    if body["who"] in (LIMIT, LIBVMI) or body["scan"] >= STEADY:
        return LATER
    return SECOND if body["scan"] else FIRST


def _groups(told: Told, pages: dict[tuple[str, str], int]) -> list[Figure]:
    """Sums are made scan by scan, so that their spread is that of whole scans."""
    sums: dict[tuple[str, str, str], dict[tuple[int, int], list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for body in told.costs:
        scan = _kind(body)
        if body["who"] in (LIMIT, LIBVMI) or scan == LOOK:
            continue
        for group, members in GROUPS.items():
            if members is None or body["check"] in members:
                sums[body["who"], group, scan][body["round"], body["scan"]].append(body)
    found = []
    for (who, group, scan), scans in sums.items():
        members = GROUPS[group]
        size = sum(pages.get((who, name), 0) for name in members) if members else 0
        sums_of: dict[str, list[float]] = defaultdict(list)
        for bodies in scans.values():
            total: dict[str, float] = defaultdict(float)
            for body in bodies:
                for phase, ns in _phases(body).items():
                    total[phase] += ns
            for phase, ns in total.items():
                sums_of[phase].append(ns)
        for phase, all_of_it in sums_of.items():
            summary = spread(all_of_it)
            if summary:
                found.append(Figure(who, group, scan, phase, size, summary))
    return found


def pick(
    found: Iterable[Figure], who: str, what: str, scan: str = LATER, phase: str = WHOLE
) -> Figure | None:
    """The one figure, None if it was not measured."""
    return next((f for f in found if (f.who, f.what, f.scan, f.phase) == (who, what, scan, phase)), None)
