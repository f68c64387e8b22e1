"""The worst time to detection: the formulas, what goes into them, and that the document has the same."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.records.stream import check, kernel
from tinyvmi_build.paths import data_dir
from tinyvmi_build.records.events import Event, Received, ScanDone, Worst, WorstTimes
from tinyvmi_build.records.protocol import Record
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report import latency
from tinyvmi_build.report.latency import (
    ANYTHING,
    BY_OTHERS,
    BY_OTHERS_DIGESTED,
    BY_TARGET,
    FORMULAS,
    UNTRACKED,
    WHOLE_CHECKS,
    LatencyMeter,
    Measured,
    Schedule,
    worst_times,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "design" / "scheduling.md"
DEFAULTS = Schedule(period_s=60, jitter_pct=10, poll_s=0.1, time_budget_s=0, comparison="bytes")
COSTS = {"text": 1.0, "rodata": 0.3, "idt": 0.002, "page-tables": 0.05}
SEEN = Measured(COSTS, {"text": 2000, "rodata": 900})
S = 1.352
PAGE = 1.0 / 2000


def rows(**change: object) -> dict[str, Worst]:
    """Of the defaults, but for `change`: fields of the schedule or of what was measured."""
    seen = {name: change.pop(name) for name in ("tracked", "digested", "costs") if name in change}
    found = worst_times(replace(DEFAULTS, **change), replace(SEEN, **seen))  # type: ignore[arg-type]
    assert all(row.formula == FORMULAS[row.change] for row in found)
    return {row.change: row for row in found}


def seconds(**change: object) -> dict[str, float]:
    return {name: row.seconds for name, row in rows(**change).items()}


def test_the_defaults() -> None:
    assert seconds() == pytest.approx(
        {
            BY_TARGET: 0.1 + S + 2 * PAGE + 0.02,
            BY_OTHERS: 100 * 0.1 + S + S + 2 * PAGE + 0.02,
            WHOLE_CHECKS: 100 * 0.05 + 0.1 + S + 2 * 0.05 + 0.02,
        },
        abs=1e-4,
    )


def test_who_is_the_slowest() -> None:
    assert {name: row.check for name, row in rows().items()} == {
        BY_TARGET: "text",
        BY_OTHERS: "text",
        WHOLE_CHECKS: "page-tables",
    }


def test_digests_have_no_turns() -> None:
    found = seconds(comparison="digest")
    assert found.keys() == {BY_TARGET, BY_OTHERS_DIGESTED, WHOLE_CHECKS}
    assert found[BY_OTHERS_DIGESTED] == pytest.approx(60 * 1.1 + S + 1.0 + 0.02)


def test_too_little_memory_has_both() -> None:
    assert seconds(digested=True) == {**seconds(), **seconds(comparison="digest")}


def test_without_tracking() -> None:
    """The check of code is run again when it costs a hundredth; else the next scan is sooner."""
    found = seconds(tracked=False)
    assert found.keys() == {UNTRACKED, WHOLE_CHECKS}
    assert found[UNTRACKED] == pytest.approx(60 * 1.1 + S + 1.0 + 0.02)
    assert seconds(tracked=False, period_s=600)[UNTRACKED] == pytest.approx(100 + 0.1 + S + 2 + 0.02)


def test_without_incremental_checks() -> None:
    assert seconds(poll_s=0.0) == {ANYTHING: pytest.approx(60 * 1.1 + S + 1.0 + 0.02)}
    assert seconds(poll_s=0.0, jitter_pct=0)[ANYTHING] == pytest.approx(60 + S + 1.0 + 0.02)


def test_time_budget() -> None:
    """A scan takes half a period, and an incremental check waits for a time budget and what it ends with."""
    found = seconds(time_budget_s=0.002)
    group = 128 * PAGE
    assert found[BY_TARGET] == pytest.approx(0.1 + (0.002 + group) + 2 * PAGE + 0.02, abs=1e-4)
    assert found[WHOLE_CHECKS] == pytest.approx(100 * 0.05 + 0.1 + 30 + 2 * 0.05 + 0.02)
    assert seconds(time_budget_s=0.002, comparison="digest")[BY_TARGET] == pytest.approx(
        0.1 + (0.002 + 0.05) + 2 * PAGE + 0.02, abs=1e-4
    )
    digested = seconds(time_budget_s=0.002, comparison="digest")
    assert digested[BY_OTHERS_DIGESTED] == pytest.approx(66 + 30 + 1.02)


def test_whole_checks_in_a_row_may_take_longer_than_a_time_budget() -> None:
    costs = {**SEEN.costs, "page-tables": 0.06, "modules": 0.06}
    assert seconds(time_budget_s=0.002, costs=costs)[BY_TARGET] == pytest.approx(
        0.1 + 0.122 + 2 * PAGE + 0.02, abs=1e-4
    )


@pytest.mark.parametrize("change", [{"time_budget_s": 2.0}, {"time_budget_s": 0.002, "period_s": 2.0}])
def test_a_scan_that_is_short_or_has_no_time_does_not_yield(change: dict[str, float]) -> None:
    assert seconds(**change)[BY_TARGET] == seconds()[BY_TARGET]


def test_scans_longer_than_the_period() -> None:
    """They follow each other without a pause."""
    assert seconds(period_s=0.5, poll_s=0.0) == {ANYTHING: pytest.approx(S + S + 1.0 + 0.02)}


def test_others_writes_are_reported_by_a_scan_if_that_is_sooner() -> None:
    assert seconds(period_s=2.0)[BY_OTHERS] == pytest.approx(2.2 + S + 1.0 + 0.02)


def test_a_page_takes_as_long_as_in_the_slower_check() -> None:
    slow = {**SEEN.costs, "rodata": 1.8}
    assert seconds(costs=slow)[BY_TARGET] == pytest.approx(0.1 + S + 1.5 + 2 * (1.8 / 900) + 0.02, abs=1e-4)


def worst_after(meter: LatencyMeter, *events: Event | dict[str, Any]) -> list[WorstTimes]:
    """What the meter adds to these events, or to these records."""
    made = [Received(Record(0, event)) if isinstance(event, dict) else event for event in events]
    followed = meter.following(made)
    assert [event for event in followed if not isinstance(event, WorstTimes)] == made
    return [event for event in followed if isinstance(event, WorstTimes)]


SCANNED = ScanDone(1, Verdict.INTACT)


def test_what_is_measured_and_when_it_is_reported() -> None:
    meter = LatencyMeter(DEFAULTS)
    assert worst_after(meter, SCANNED) == []
    for name, us in (("text", 1_000_000), ("rodata", 300_000), ("idt", 2000), ("page-tables", 50_000)):
        assert worst_after(meter, check(name, duration_us=us, items=SEEN.items.get(name, 1))) == []
    assert worst_after(meter, {"type": "tracking", "frames": 4508}) == []
    [first] = worst_after(meter, SCANNED)
    assert first.scan_s == S
    assert {row.change: row.seconds for row in first.rows} == seconds()
    assert worst_after(meter, SCANNED) == []
    # An incremental check, or a later scan, measures nothing.
    assert worst_after(meter, check("text", "tampered", duration_us=9)) == []
    [less] = worst_after(meter, {"type": "memory", "cached": 900, "digested": 2000})
    assert {row.change: row.seconds for row in less.rows} == seconds(digested=True)
    [none] = worst_after(meter, {"type": "tracking", "frames": 0})
    assert {row.change: row.seconds for row in none.rows} == seconds(tracked=False)


def test_another_kernel_is_measured_anew() -> None:
    meter = LatencyMeter(DEFAULTS)
    [first] = worst_after(meter, check("idt", duration_us=1_000_000), SCANNED)
    [second] = worst_after(meter, kernel(), check("idt", duration_us=2_000_000), SCANNED)
    assert (first.scan_s, second.scan_s) == (1.0, 2.0)


def test_the_document_has_these_formulas() -> None:
    document = DOCUMENT.read_text()
    section = document.split("## The worst time")[1].split("\n## ")[0]
    table = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", section, re.M))
    assert table.pop("change") == "worst time"
    assert {name: text for name, text in table.items() if not name.startswith("-")} == FORMULAS


@pytest.mark.parametrize(
    ("file", "name", "value"),
    [
        ("checks/lib/page_cache.h", "TV_PAGE_TURNS", latency.TURNS),
        ("checks/text/text.c", "CHUNK_COMPARED", latency.GROUP["bytes"]),
        ("checks/text/text.c", "CHUNK_DIGESTED", latency.GROUP["digest"]),
        ("monitor/incremental.c", "SHARE", latency.SHARE),
        ("monitor/incremental.c", "AGAIN_NS", round(latency.AGAIN_S * 1e3)),
        ("monitor/check_run.c", "REREAD_NS", round(latency.REREAD_S * 1e9)),
    ],
)
def test_the_core_has_these_numbers(file: str, name: str, value: int) -> None:
    source = (data_dir("minios_app") / file).read_text()
    found = re.search(rf"^#define {name} +(?:UINT64_C)?\(?(\d+)", source, re.M)
    assert found and int(found[1]) == value


def test_the_core_has_incremental_forms_of_these_checks() -> None:
    checks = data_dir("minios_app") / "checks"
    incremental = {
        path.stem for path in checks.rglob("*.c") if re.search(r"\.check_dirty = \w", path.read_text())
    }
    assert incremental == set(latency.incremental_checks())
