"""Lines of dom0 → figures: what is counted, what is left out."""

from __future__ import annotations

import json

import pytest

from tests.unit.bench.reported import line, lines, measured
from tinyvmi_build.bench.figures import (
    FIRST,
    LATER,
    MAPPING,
    PARTS,
    REPORTING,
    WHOLE,
    WORK,
    figures,
    pick,
)
from tinyvmi_build.bench.plan import Plan
from tinyvmi_build.bench.result import WALL, Run
from tinyvmi_build.bench.summary import summarize
from tinyvmi_build.errors import MissingEnvironmentError


def median(who: str, what: str, scan: str = LATER, phase: str = WHOLE) -> float:
    figure = pick(figures(measured(lines())), who, what, scan, phase)
    assert figure is not None
    return figure.ns.median


def test_the_warming_round_and_first_scans_are_apart() -> None:
    # Two later scans in each of two rounds: 800, 800, 810, 810.
    figure = pick(figures(measured(lines())), "monitor", "text")
    assert figure is not None and (figure.ns.n, figure.ns.least, figure.ns.most) == (4, 800, 810)
    first = pick(figures(measured(lines())), "monitor", "text", FIRST)
    assert first is not None and (first.ns.n, first.ns.least, first.ns.most) == (2, 8000, 8010)


def test_groups_are_summed_scan_by_scan() -> None:
    assert median("monitor", "text + rodata") == 1010
    assert median("monitor", "all checks") == 1065
    group = pick(figures(measured(lines())), "dom0-single", "text + rodata")
    assert group is not None and group.ns.n == 4


def test_incremental_checks_are_no_scans() -> None:
    cost = {"scan": 1, "check": "text", "took_ns": 3, "map_ns": 0, "map_pages": 0, "map_calls": 0}
    cost |= {"incremental": 1}
    found = figures(measured([*lines(), line("monitor", 1, "cost", **cost)]))
    assert median("monitor", "text + rodata") == 1010
    kinds = {(f.scan, f.ns.median) for f in found if (f.who, f.what, f.phase) == ("monitor", "text", WHOLE)}
    assert kinds == {(FIRST, 8005.0), ("second", 1605.0), (LATER, 805.0), ("incremental", 3)}


def test_phases_add_up() -> None:
    assert median("monitor", "text", LATER, MAPPING) == 100
    assert median("monitor", "text", LATER, WORK) == 705
    # What a clock of dom0 says of mapping can be more than of the whole: never less than nothing remains.
    assert median("dom0-single", "rodata", LATER, WORK) == 0


def test_the_parts_of_a_check_are_all_of_it() -> None:
    phases = {phase: median("monitor", "text", LATER, phase) for phase in (*PARTS, REPORTING)}
    assert phases == {
        MAPPING: 100,
        "reading": 80.5,
        "sites": 40,
        "hashing": 161,
        "other": 423.5,
        REPORTING: 4,
    }
    # Of a group, too, scan by scan: what its records cost is beside it.
    assert median("monitor", "text + rodata", LATER, REPORTING) == 8
    parts = sum(median("monitor", "text + rodata", FIRST, phase) for phase in PARTS)
    assert parts == median("monitor", "text + rodata", FIRST)


def test_a_cost_without_parts_has_none() -> None:
    found = figures(measured(lines()))
    assert {f.phase for f in found if f.who == "limit"} == {WHOLE, MAPPING, WORK}


def test_pages_are_what_is_compared() -> None:
    found = figures(measured(lines()))
    group, limit = pick(found, "monitor", "text + rodata"), pick(found, "limit", "map")
    assert group is not None and group.pages == 20
    assert limit is not None and (limit.pages, limit.ns.median) == (20, 400)


@pytest.mark.parametrize("junk", ["", "{", "[]", "1", '{"type":"cost"}', '{"who":"monitor"}'])
def test_what_is_no_line_is_ignored(junk: str) -> None:
    assert measured([junk]).costs == []


def test_a_round_that_failed_is_reported() -> None:
    run = Run(WALL)
    summarize(run, measured([*lines(), line("limit", 1, "failed", what="no memory")]))
    assert run.failed == ["limit, round 1: no memory"]
    assert run.timings["monitor"]["kernel"].median == 1.0 and run.find_us["monitor"].median == 7


def test_without_the_monitor_there_is_no_comparison() -> None:
    without = [one for one in lines() if json.loads(one)["who"] != "monitor"]
    with pytest.raises(MissingEnvironmentError, match="died"):
        summarize(Run(WALL), measured([*without, line("monitor", 1, "failed", what="it died")]))


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = Plan("web", "/lab/monitor", rounds=9, pause=False)
    assert Plan.parse(plan.text()) == plan
