"""cost.c over a clock that the test moves: what each phase took, what is within another."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.conftest import check_table, compile_shared
from tinyvmi_build.paths import data_dir

MAPPING, READING, SITES, HASHING, REPORTING = range(5)
PLATFORM = """
#include <tinyvmi/config.h>
#include "monitor/monitor.h"
static uint64_t now;
static char written[65536];
static size_t used;
static struct monitor monitor;
uint64_t tv_now_ns(void) { return now; }
static void keep(void *context, const char *s, size_t n)
{
    (void)context;
    memcpy(written + used, s, n);
    used += n;
    now += 100;
}
void start(bool enabled); void start(bool enabled)
{
    now = 0;
    memset(&monitor, 0, sizeof(monitor));
    monitor.costs.enabled = enabled;
    tv_record_writer_init(&monitor.records, &(const struct tv_sink){ .write = keep }, &monitor.costs);
}
void go_on(uint64_t ns); void go_on(uint64_t ns) { now += ns; }
uint64_t begin(void); uint64_t begin(void) { return tv_cost_begin(&monitor.costs); }
void end(uint32_t phase, uint64_t since); void end(uint32_t phase, uint64_t since)
{
    tv_cost_end(&monitor.costs, phase, since);
}
void mapping(uint32_t npages); void mapping(uint32_t npages)
{
    tv_cost_count_mapping(&monitor.costs, npages);
}
void add(const char *name, uint64_t ns); void add(const char *name, uint64_t ns)
{
    tv_cost_add(&monitor.costs, 3, name, ns, false);
}
void record(const char *type); void record(const char *type)
{
    tv_record_begin(&monitor.records, type);
    tv_record_end(&monitor.records);
}
const char *report(void); const char *report(void)
{
    used = 0;
    tv_report_costs(&monitor);
    written[used] = 0;
    return written;
}
const struct tv_config tv_config;
const struct tv_kernel_profile *const tv_profiles[] = { NULL };
const uint32_t tv_profile_count = 0;
const char *tv_digest_name(const struct tv_digest *d) { (void)d; return ""; }
"""


class Costs:
    def __init__(self, library: ctypes.CDLL, enabled: bool):
        self._library = library
        self.enabled = enabled
        library.begin.restype = ctypes.c_uint64
        library.report.restype = ctypes.c_char_p
        library.start(enabled)

    def passes(self, ns: int) -> None:
        self._library.go_on(ctypes.c_uint64(ns))

    def begin(self) -> int:
        return int(self._library.begin())

    def end(self, phase: int, since: int) -> None:
        self._library.end(phase, ctypes.c_uint64(since))

    def maps(self, npages: int) -> None:
        self._library.mapping(npages)

    def add(self, name: bytes, ns: int) -> None:
        self._library.add(name, ctypes.c_uint64(ns))

    def record(self, kind: bytes) -> None:
        self._library.record(kind)

    def reported(self) -> list[dict[str, Any]]:
        lines = bytes(self._library.report()).decode().splitlines()
        return [json.loads(line.split(" ", 3)[3]) for line in lines]


@pytest.fixture(params=[True, False], ids=["enabled", "not enabled"])
def costs(tmp_path: Path, request: pytest.FixtureRequest) -> Costs:
    platform = tmp_path / "platform.c"
    platform.write_text(PLATFORM)
    core = data_dir("minios_app")
    parts = (
        "introspect/cost.c",
        "monitor/record.c",
        "monitor/records.c",
        "digest/crc32.c",
        "checks/lib/findings.c",
    )
    sources = [core / part for part in parts]
    return Costs(compile_shared(tmp_path, "cost", platform, check_table(tmp_path), *sources), request.param)


def a_check(costs: Costs) -> None:
    """1000 ns: 300 at patch sites, of which 50 to map within; 200 to read, twice; the rest is 300."""
    sites = costs.begin()
    costs.passes(100)
    mapping = costs.begin()
    costs.passes(50)
    costs.end(MAPPING, mapping)
    costs.maps(7)
    costs.passes(150)
    costs.end(SITES, sites)
    for _ in range(2):
        since = costs.begin()
        costs.passes(200)
        costs.end(READING, since)
    costs.passes(300)
    costs.add(b"text", 1000)


def test_what_is_within_another_phase_is_counted_once(costs: Costs) -> None:
    a_check(costs)
    costs.passes(10_000)
    costs.add(b"idt", 10)
    reported = costs.reported()
    if not reported:
        assert costs.begin() == 0  # nothing is measured either
        return
    assert [one["check"] for one in reported] == ["text", "idt"]
    text, idt = reported
    parts = {name: text[name] for name in ("map_ns", "read_ns", "sites_ns", "hash_ns")}
    assert parts == {"map_ns": 50, "read_ns": 400, "sites_ns": 250, "hash_ns": 0}
    assert (text["took_ns"], text["map_pages"], text["map_calls"]) == (1000, 7, 1)
    assert not any(idt[name] for name in (*parts, "map_pages", "map_calls", "report_ns"))


def test_costs_are_reported_only_if_enabled(costs: Costs) -> None:
    a_check(costs)
    assert len(costs.reported()) == (1 if costs.enabled else 0)


def test_records_count_for_the_check_before_and_costs_for_none(costs: Costs) -> None:
    costs.record(b"heartbeat")  # of no check
    a_check(costs)
    costs.record(b"finding")
    costs.record(b"check")
    costs.add(b"idt", 10)
    costs.add(b"rodata", 20)
    reported = {one["check"]: one["report_ns"] for one in costs.reported()}
    assert reported in ({}, {"text": 200, "idt": 0, "rodata": 0})
    a_check(costs)
    assert [one["report_ns"] for one in costs.reported()] in ([], [0])
