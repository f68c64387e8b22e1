"""The table of bases × targets: what keeps its rows, and what it says of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.lab.targets.play import FAILED, RAN, SCANS, clean_of, tampered_of, xen_of
from tests.lab.targets.rows import FLASK_MODE, NOT_RUN, ROWS, Row
from tests.lab.targets.state import State
from tests.lab.targets.table import good, markdown, terminal, words
from tinyvmi_build.lab.tamper import change, changes
from tinyvmi_build.profile.profile import ProfileFile

BASES = ("built-in", "mini-os")
PVH = ROWS[0]
GOOD = ["✓ 20 scans", "✓ 11 of 11", "✓ 20 scans", "✓ 11 of 11", "✓ 13 of 13", "✓ as linked"]


def _result(row: Row, bases: tuple[str, ...] = BASES) -> dict[str, Any]:
    """A row of which all is as it must be."""
    clean = {"status": 0, "scans": SCANS, "findings": 0, "units": {"text": 3586}, "rev": ""}
    caught = {c.name: {"status": 5, "by": [c.caught_by], "at": f"in_{c.caught_by}"} for c in row.tampers}
    return {
        "outcome": RAN,
        "seconds": 60,
        "clean": {base: dict(clean) for base in bases},
        "after": {base: dict(clean, scans=3) for base in bases},
        "tampers": {base: {name: dict(one) for name, one in caught.items()} for base in bases},
        "same": dict.fromkeys(["clean", *caught, "after"], True),
        "find_us": dict.fromkeys(bases, [900, 1100, 1300]),
        "release": "6.1",
        "xen": "4.17",
        "levels": 4,
        "where_it_says": True,
        "moved": row.moves,
    }


def test_each_row_tampers_with_what_each_check_guards() -> None:
    wanted = {c.caught_by for c in changes() if c.caught_by}
    for row in ROWS:
        mine = {c.caught_by for c in row.tampers}
        assert mine == wanted | ({"registers"} if row.mode == FLASK_MODE else set()), row
        assert len({c.name for c in row.tampers}) == len(row.tampers) == len(mine) + 1
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
        (("clean", "mini-os", "status"), 5, 2, "✗ 20 scans, exit status 5"),
        (("clean", "mini-os", "scans"), 19, 2, "✗ 19 scans, exit status 0"),
        (("clean", "built-in", "findings"), 1, 0, "✗ 20 scans, exit status 0"),
        (("after", "built-in", "status"), 3, 0, "✗ 20 scans, exit status 3"),
        (("after", "built-in", "scans"), 0, 0, "✗ 20 scans, exit status 0"),
        (("tampers", "built-in", "text-inline-hook", "status"), 0, 1, "✗ 10 of 11"),
        (("tampers", "mini-os", "text-inline-hook", "by"), ["rodata"], 3, "✗ 10 of 11"),
        (("tampers", "mini-os"), {}, 3, "✗ 0 of 11"),
        (("same", "clean"), False, 4, "✗ 12 of 13"),
        (("where_it_says",), False, 5, "✗ as linked"),
        (("moved",), True, 5, "✗ moved"),
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


def test_a_kernel_that_is_never_found() -> None:
    result = _result(PVH)
    del result["where_it_says"]
    assert words(PVH, result, BASES)[-1] == "✗ not found"
    assert not good(PVH, result, BASES)


def test_the_docs_name_what_was_not_run() -> None:
    results = {row.name: _result(row, BASES[:1]) for row in ROWS}
    results[ROWS[1].name] = {"outcome": FAILED, "reason": "the target died twice", "seconds": 9}
    results.pop(ROWS[2].name)
    text = markdown(ROWS, results, BASES, ["a fact"], 30)
    assert "- a fact\n" in text
    assert f"- {ROWS[1].name}: the lab did not get there: the target died twice\n" in text
    assert f"- {ROWS[2].name}: it was not asked for\n" in text
    assert "- all of mini-os: no tree was named (`TINYVMI_MINIOS_TREE`)\n" in text
    assert all(f"- {what}: {why}\n" in text for what, why in NOT_RUN.items())
    assert f"| {ROWS[1].name} | ! | ! | ! | ! | ! | ! |\n" in text
    assert f"| {ROWS[2].name} | – | – | – | – | – | – |\n" in text
    whole = markdown(ROWS, {row.name: _result(row) for row in ROWS}, BASES, [], 30)
    assert "no tree was named" not in whole
    assert "the lab did not get there:" not in whole
    assert "| PVH | ✓ 20 scans | ✓ 11 of 11 |" in whole


def test_the_docs_say_who_reported_what_where() -> None:
    result = _result(PVH)
    result["tampers"]["mini-os"]["text-inline-hook"] |= {"by": ["rodata", "text"], "at": "elsewhere"}
    text = markdown([PVH], {PVH.name: result}, BASES, [], 30)
    description = change("text-inline-hook").description
    assert f"| `text-inline-hook`: {description} | text | `in_text`, `elsewhere` | rodata | ✓ |\n" in text
    assert "0.9 / 1.1 / 1.3" in text


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


def test_what_is_kept_of_a_run() -> None:
    def beat(scan: int, verdict: str) -> dict[str, Any]:
        return {"t": "heartbeat", "scan": scan, "verdict": verdict}

    records = [
        {"t": "hello", "base_rev": "229260e"},
        {"t": "check", "check": "text", "verdict": "intact", "units": 7},
        {"t": "check", "check": "idt", "verdict": "unverifiable", "units": 3},
        {"t": "finding", "check": "text"},
        # Within a long scan a heartbeat tells of the scan before: none at first, then the same one again.
        *(
            beat(0, "unverifiable"),
            beat(1, "intact"),
            beat(1, "intact"),
            beat(2, "tampered"),
            beat(3, "intact"),
        ),
    ]
    expected = {"status": 5, "scans": 2, "findings": 1, "units": {"text": 7}, "rev": "229260e"}
    assert clean_of(5, records) == expected
    assert clean_of(6, []) == {"status": 6, "scans": 0, "findings": 0, "units": {}, "rev": ""}


def test_what_is_kept_of_findings() -> None:
    nobody = cast(ProfileFile, SimpleNamespace(by_build_id=None))
    found = [
        {"t": "finding", "check": check, "kind": "bytes", "symbol": symbol, "offset": 0, "address": "0x10"}
        | {"expected": "00", "actual": "01"}
        for check, symbol in (("rodata", "first"), ("text", "second"), ("text", "third"))
    ]
    kept = tampered_of(change("text-inline-hook"), 5, cast(list[dict[str, Any]], found), nobody)
    assert kept == {"status": 5, "by": ["rodata", "text"], "at": "second"}
    assert tampered_of(change("text-inline-hook"), 0, [], nobody) == {"status": 0, "by": [], "at": ""}


def test_the_version_that_xen_says() -> None:
    assert xen_of("(XEN) Xen version 4.17.7 (Debian 4.17.7+13)") == "4.17.7"
    assert xen_of("nothing") == "?"
