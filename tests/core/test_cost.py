"""cost.c over a clock that the test moves: what each phase took, what is within another, who is not asked."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.conftest import compile_shared
from tinyvmi_build.paths import data_dir

MAPPING, READING, SITES, HASHING, REPORTING = range(5)
PLATFORM = """
#include <tinyvmi/platform.h>
static uint64_t now;
static char said[65536];
static size_t used;
uint64_t tv_now_ns(void) { return now; }
void tv_console_write(const char *s, size_t n) { memcpy(said + used, s, n); used += n; now += 100; }
void go_on(uint64_t ns); void go_on(uint64_t ns) { now += ns; }
const char *all_said(void); const char *all_said(void) { said[used] = 0; used = 0; return said; }
"""


class Costs:
    def __init__(self, library: ctypes.CDLL, asked: bool):
        self._library = library
        library.tv_cost_begin.restype = ctypes.c_uint64
        library.all_said.restype = ctypes.c_char_p
        ctypes.c_bool.in_dll(library, "tv_costs").value = asked

    def passes(self, ns: int) -> None:
        self._library.go_on(ctypes.c_uint64(ns))

    def begin(self) -> int:
        return int(self._library.tv_cost_begin())

    def end(self, phase: int, since: int) -> None:
        self._library.tv_cost_end(phase, ctypes.c_uint64(since))

    def note(self, name: bytes, ns: int) -> None:
        self._library.tv_cost_note(3, name, ctypes.c_uint64(ns), False)

    def record(self, kind: bytes) -> None:
        self._library.tv_rec_begin(kind)
        self._library.tv_rec_end()

    def told(self) -> list[dict[str, Any]]:
        self._library.all_said()
        self._library.tv_cost_tell()
        said = self._library.all_said().decode()
        return [json.loads(line.split(" ", 3)[3]) for line in said.splitlines()]


@pytest.fixture(params=[True, False], ids=["asked", "not asked"])
def costs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Costs]:
    platform = tmp_path / "platform.c"
    platform.write_text(PLATFORM)
    room = data_dir("minios_app") / "monitor"
    library = compile_shared(tmp_path, "cost", platform, room / "cost.c", room / "record.c")
    yield Costs(library, request.param)


def a_check(costs: Costs) -> None:
    """1000 ns: 300 at places, of which 50 to map within; 200 to read, twice; the rest is 300."""
    sites = costs.begin()
    costs.passes(100)
    mapping = costs.begin()
    costs.passes(50)
    costs.end(MAPPING, mapping)
    costs._library.tv_cost_mapped(7)
    costs.passes(150)
    costs.end(SITES, sites)
    for _ in range(2):
        since = costs.begin()
        costs.passes(200)
        costs.end(READING, since)
    costs.passes(300)
    costs.note(b"text", 1000)


def test_what_is_within_another_phase_is_counted_once(costs: Costs) -> None:
    a_check(costs)
    costs.passes(10_000)
    costs.note(b"idt", 10)
    told = costs.told()
    if not told:
        assert costs.begin() == 0  # nothing is measured either
        return
    assert [one["check"] for one in told] == ["text", "idt"]
    text, idt = told
    parts = {name: text[name] for name in ("map_ns", "read_ns", "sites_ns", "hash_ns")}
    assert parts == {"map_ns": 50, "read_ns": 400, "sites_ns": 250, "hash_ns": 0}
    assert (text["took_ns"], text["map_pages"], text["map_calls"]) == (1000, 7, 1)
    assert not any(idt[name] for name in (*parts, "map_pages", "map_calls", "report_ns"))


def test_only_who_asks_is_told(costs: Costs) -> None:
    asked = ctypes.c_bool.in_dll(costs._library, "tv_costs").value
    a_check(costs)
    assert len(costs.told()) == (1 if asked else 0)


def test_records_count_for_the_check_before_and_costs_for_none(costs: Costs) -> None:
    costs.record(b"heartbeat")  # of no check
    a_check(costs)
    costs.record(b"finding")
    costs.record(b"check")
    costs.note(b"idt", 10)
    costs.note(b"rodata", 20)
    told = {one["check"]: one["report_ns"] for one in costs.told()}
    assert told in ({}, {"text": 200, "idt": 0, "rodata": 0})
    a_check(costs)
    assert [one["report_ns"] for one in costs.told()] in ([], [0])
