"""A comparison as dom0 prints it, small enough to be computed by hand."""

from __future__ import annotations

import json
from typing import Any

from tinyvmi_build.bench.measurements import Measurements
from tinyvmi_build.bench.result import ICOUNT, Result, Run
from tinyvmi_build.bench.summary import summarize

#: who → ns a scan of (text, rodata, idt), and of it to map.
COSTS = {
    "monitor": (800, 200, 50, 100),
    "monitor, digests": (80000, 20000, 50, 100),
    "dom0-batched": (700, 300, 50, 20),
    "dom0-single": (9000, 1000, 500, 8000),
}


def line(who: str, number: int, kind: str, **fields: Any) -> str:
    return json.dumps({"who": who, "round": number, "type": kind, **fields})


def lines(rounds: int = 2, scans: int = 4) -> list[str]:
    """Round 0 and a round's first scan cost ten times more, its second one twice as much.

    Each check of round 2 costs 10 ns more.
    """
    found = []
    for number in range(rounds + 1):
        for who, (*costs, mapping) in COSTS.items():
            for scan in range(scans):
                for check, ns in zip(("text", "rodata", "idt"), costs, strict=True):
                    cold = 10 if number == 0 or scan == 0 else 2 if scan == 1 else 1
                    took = ns * cold + (10 if number == 2 else 0)
                    cost = {
                        "scan": scan,
                        "check": check,
                        "took_ns": took,
                        "map_ns": mapping,
                        "map_pages": 9,
                        "map_calls": 1,
                        "read_ns": took // 10,
                        "sites_ns": took // 20,
                        "hash_ns": took // 5,
                        "report_ns": 4,
                    }
                    found.append(line(who, number, "cost", **cost))
                    if scan == 0:
                        found.append(line(who, number, "check", check=check, items=10, verdict="intact"))
            found.append(line(who, number, "timing", hello=0.5, kernel=1.0))
            found.append(line(who, number, "kernel", duration_us=7))
        limit = {"scan": 0, "map_ns": 0, "map_pages": 20, "map_calls": 0}
        for check, ns in (("map", 400), ("digest of own memory", 80000)):
            found.append(line("limit", number, "cost", check=check, took_ns=ns, **limit))
    return found


def measured(printed: list[str]) -> Measurements:
    """The measurements in lines that dom0 has printed."""
    found = Measurements()
    for text in printed:
        found.add_text(text)
    return found


def result() -> Result:
    run = Run(ICOUNT, kernel="6.1.0", xen="Xen version 4.17")
    summarize(run, measured(lines()))
    return Result(
        "tinyvmi-build bench --x", {"processor": "a <small> one"}, "0", [run], {"image, bytes": 12345}
    )
