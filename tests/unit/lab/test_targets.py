"""The table of bases × targets: what keeps its rows, and what it says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.experiments.targets.rows import FLASK_MODE, NOT_RUN, ROWS, Row
from tests.experiments.targets.run_row import (
    FAILED,
    RAN,
    SCANS,
    clean_of,
    different,
    last_of_each_check,
    same,
    tampered_of,
    xen_of,
)
from tests.experiments.targets.state import State
from tests.experiments.targets.table import good, markdown, terminal, words
from tinyvmi_build.checks.tamper import change, changes

BASES = ("built-in", "mini-os")
PVH = ROWS[0]
TEXT = "text-inline-hook"
GOOD = ["✓ 20 scans", "✓ 10 of 10", "✓ 20 scans", "✓ 10 of 10", "✓ 11 of 11", "✓ as linked"]


def _result(row: Row, bases: tuple[str, ...] = BASES) -> dict[str, Any]:
    """A row of which all is as it must be."""

    def base() -> dict[str, Any]:
        caught = {
            c.name: {
                "verdict": "tampered",
                "restored": "intact",
                "by": [c.caught_by],
                "at": f"in_{c.caught_by}",
            }
            for c in row.tampers
        }
        place = {"where_it_says": True, "moved": row.moves, "levels": 4, "find_us": 900, "rev": "229260e"}
        return {"clean": SCANS, "after": 3, "tampers": caught, "lost": ""} | place

    return {
        "outcome": RAN,
        "seconds": 60,
        "bases": {name: base() for name in bases},
        "same": dict.fromkeys(["clean", *(c.name for c in row.tampers)], True),
        "release": "6.1",
        "xen": "4.17",
    }


def test_rows_tamper_with_what_checks_guard() -> None:
    wanted = {c.caught_by for c in changes() if c.caught_by}
    for row in ROWS:
        mine = {c.caught_by for c in row.tampers}
        assert ("registers" in mine) == (row.mode == FLASK_MODE), row
        assert len({c.name for c in row.tampers}) == len(row.tampers) == len(mine)
        assert mine - {"registers"} == wanted if row.whole else 2 * len(mine) >= len(wanted)
    assert PVH.whole
    assert {row.kind for row in ROWS} == {"pvh", "pvh-grub", "hvm", "pv"}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_row_that_is_as_it_must_be() -> None:
    for row in ROWS:
        assert good(row, _result(row), BASES), row
    assert words(PVH, _result(PVH), BASES) == GOOD
    assert words(PVH, _result(PVH) | {"old": True}, BASES) == [f"{word}°" for word in GOOD]
    alone = words(PVH, _result(PVH, BASES[:1]), BASES)
    assert alone == [*GOOD[:2], "–", "–", "–", GOOD[-1]]


@pytest.mark.parametrize(
    ("where", "value", "column", "expected"),
    [
        (("bases", "mini-os", "clean"), 19, 2, "✗ 19 scans"),
        (("bases", "built-in", "after"), 0, 0, "✗ 20 scans"),
        (("bases", "built-in", "lost"), "it is silent", 0, "✗ 20 scans, lost"),
        (("bases", "built-in", "tampers", TEXT, "verdict"), "intact", 1, "✗ 9 of 10"),
        (("bases", "built-in", "tampers", TEXT, "restored"), "tampered", 1, "✗ 9 of 10"),
        (("bases", "mini-os", "tampers", TEXT, "by"), ["rodata"], 3, "✗ 9 of 10"),
        (("bases", "mini-os", "tampers"), {}, 3, "✗ 0 of 10"),
        (("same", "clean"), False, 4, "✗ 10 of 11"),
        (("same",), {"clean": True}, 4, "✗ 1 of 11"),
        (("bases", "mini-os", "where_it_says"), False, 5, "✗ as linked"),
        (("bases", "built-in", "moved"), True, 5, "✗ moved"),
    ],
)
def test_what_is_not_as_it_must_be(where: tuple[str, ...], value: object, column: int, expected: str) -> None:
    result = _result(PVH)
    inner: Any = result
    for name in where[:-1]:
        inner = inner[name]
    assert where[-1] in inner
    inner[where[-1]] = value
    assert words(PVH, result, BASES) == [*GOOD[:column], expected, *GOOD[column + 1 :]]
    assert not good(PVH, result, BASES)
    assert expected in terminal([PVH], {PVH.name: result}, BASES)


def test_the_docs_name_what_was_not_run() -> None:
    results = {row.name: _result(row, BASES[:1]) for row in ROWS}
    results[ROWS[1].name] = {"outcome": FAILED, "reason": "the target died twice", "seconds": 9}
    results.pop(ROWS[2].name)
    text = markdown(ROWS, results, BASES, ["a fact"], 30)
    assert "- a fact\n" in text
    assert f"- {ROWS[1].name}: the lab did not get there: the target died twice\n" in text
    assert f"- {ROWS[2].name}: it has not been run yet\n" in text
    assert "- all of mini-os: no tree was named (`TINYVMI_MINIOS_TREE`)\n" in text
    assert all(f"- {what}: {why}\n" in text for what, why in NOT_RUN.items())
    assert f"| {ROWS[1].name} | ! | ! | ! | ! | ! | ! |\n" in text
    assert f"| {ROWS[2].name} | – | – | – | – | – | – |\n" in text
    whole = markdown(ROWS, {row.name: _result(row) for row in ROWS}, BASES, [], 30)
    assert "no tree was named" not in whole
    assert "the lab did not get there:" not in whole
    assert "| PVH | ✓ 20 scans | ✓ 10 of 10 |" in whole


def test_the_docs_say_who_reported_what_where() -> None:
    result = _result(PVH)
    result["bases"]["mini-os"]["tampers"][TEXT] |= {"by": ["rodata", "text"], "at": "elsewhere"}
    text = markdown([PVH], {PVH.name: result}, BASES, [], 30)
    description = change(TEXT).description
    assert f"| `{TEXT}`: {description} | text | `in_text`, `elsewhere` | rodata | ✓ |\n" in text
    assert "| 1 | 6.1 | 4 | 0.9 ms | 0.9 ms |" in text


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = State(path)
    state.add("PVH", BASES, "a", {"outcome": RAN, "seconds": 1})
    state.add("HVM", BASES, "a", {"outcome": FAILED, "reason": "no"})
    again = State(path)
    assert [again.done("PVH", BASES, key) for key in "ab"] == [True, False]
    assert not again.done("PVH", BASES[:1], "a")
    assert not again.done("HVM", BASES, "a")
    old = again.get("PVH", BASES, "b")
    assert old is not None and old["old"] is True
    again.add("PVH", BASES, "b", {"outcome": FAILED, "reason": "no"})  # takes no verdicts away
    assert State(path).done("PVH", BASES, "a")
    again.add("HVM", BASES, "a", {"outcome": RAN, "seconds": 1})
    assert State(path).done("HVM", BASES, "a")


def _beat(scan: int, verdict: str) -> dict[str, Any]:
    return {"type": "heartbeat", "scan": scan, "verdict": verdict}


def test_a_clean_run_is_compared_up_to_its_last_scan() -> None:
    first = [{"type": "hello", "image": "a", "base": "built-in", "abi": 2}, _beat(0, "unverifiable")]
    first += [{"type": "check", "check": "text", "scan": 0, "duration_us": 7, "verdict": "intact"}]
    scans = [_beat(scan, "intact") for scan in range(1, SCANS + 1)]
    late = [
        {"type": "check", "check": "text", "verdict": "tampered", "scan": SCANS},
        _beat(SCANS + 1, "tampered"),
    ]
    reports = clean_of([*first, *scans, *late])
    assert reports[:2] == [
        {"type": "hello", "abi": 2},
        {"type": "check", "check": "text", "scan": 0, "verdict": "intact"},
    ]
    assert [(one["scan"], one["verdict"]) for one in reports[2:]] == [
        (n, "intact") for n in range(1, SCANS + 1)
    ]
    # A slower one tells more often that it lives, and of itself.
    slower = [{**first[0], "image": "b", "base": "mini-os"}, _beat(0, "unverifiable"), *first[1:]]
    slower += [beat for beat in scans for _ in range(2)]
    assert clean_of(slower) == reports
    assert clean_of([*first, *scans[:3], *late, *scans[3:]]) != reports


def test_what_is_saved_of_findings() -> None:
    found = [{"check": c, "symbol": s, "scan": 3} for c, s in (("rodata", "a"), ("text", "b"), ("text", "c"))]
    saved = tampered_of(change(TEXT), found, lambda record: f"{record['symbol']}+0x8")
    assert saved == {"by": ["rodata", "text"], "at": "b+0x8"}
    assert tampered_of(change(TEXT), found[:1], str) == {"by": ["rodata"], "at": ""}
    half = {"check": "text", "symbol": "b", "scan": 2}  # of a scan that was under way
    assert last_of_each_check([half, *found]) == [
        {name: value for name, value in one.items() if name != "scan"} for one in found
    ]


def test_whether_they_said_the_same() -> None:
    one = {"clean": ["1"], "a": ["x", "y"], "b": []}
    assert same([one, one]) == {"clean": True, "a": True, "b": False}  # nothing is not the same as nothing
    assert same([one, one | {"clean": ["2"]}]) == {"clean": False, "a": True, "b": False}
    assert same([{"clean": ["1"]}, one]) == {"clean": True, "a": False, "b": False}
    other = {"clean": ["1"], "a": ["y", "z"]}
    expected = {"a": {"p": ["x"], "q": ["z"]}, "b": {"p": [], "q": []}}
    assert different({"p": one, "q": other}) == expected


def test_the_docs_tell_what_only_one_said() -> None:
    result = _result(PVH)
    result["same"] |= {"clean": False, TEXT: False}
    result["differs"] = {"clean": {"built-in": ["a record"], "mini-os": []}}
    text = markdown([PVH], {PVH.name: result}, BASES, [], 30)
    assert "- PVH, clean: built-in: `a record`\n" in text
    assert f"- PVH, {TEXT}: the records were not saved\n" in text
    assert "only one of them" not in markdown([PVH], {PVH.name: _result(PVH)}, BASES, [], 30)


def test_the_version_that_xen_says() -> None:
    assert xen_of("(XEN) Xen version 4.17.7 (Debian 4.17.7+13)") == "4.17.7"
    assert xen_of("nothing") == "?"
