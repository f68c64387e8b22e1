"""Everything that one `tinyvmi-build bench` found, as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tinyvmi_build import json_output
from tinyvmi_build.bench.figures import Figure
from tinyvmi_build.bench.statistics import Spread
from tinyvmi_build.errors import UsageError

ICOUNT, WALL, HOST = "icount", "wall", "host"
#: What a nanosecond of each clock is.
CLOCKS = {
    ICOUNT: "instructions on one emulated processor (QEMU -icount shift=0,sleep=off: 1 ns is 1 instruction)",
    WALL: "wall-clock time under QEMU's emulation, two processors: not silicon",
    HOST: "wall-clock time on this Xen host",
}


@dataclass(frozen=True)
class Slowdown:
    """How long a workload in the target takes while a monitor scans every `period_ms`; 0: without one."""

    workload: str
    period_ms: int
    s: Spread


@dataclass(frozen=True)
class Growth:
    """Medians of a scan of one target; `what` describes it, None is what was not measured."""

    what: str
    verdicts: list[str]
    paged_ns: float  # of the checks that compare pages
    all_ns: float
    find_us: float  # to find the kernel
    pages: int | None = None  # of text and rodata
    sites: int | None = None  # that the kernel patches
    checks_ns: Mapping[str, float] = field(default_factory=dict)  # of each check whose cost grows


@dataclass
class Run:
    """One boot: `clock` is what its nanoseconds are."""

    clock: str
    figures: list[Figure] = field(default_factory=list)
    timings: dict[str, dict[str, Spread]] = field(default_factory=dict)  # who → stage → s
    find_us: dict[str, Spread] = field(default_factory=dict)  # who → work to find the kernel
    latency_ms: Spread | None = None  # from a tamper to its record
    latency_period_ms: int = 0
    #: Check → ms from the target's own write to the record.
    write_latency_ms: dict[str, Spread] = field(default_factory=dict)
    slowdown: list[Slowdown] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    xen: str = ""
    kernel: str = ""


@dataclass
class Result:
    """`sizes`: name → value, the unit is in the name.  `absent`: what was not measured, and why."""

    command: str
    machine: dict[str, str]
    tool_version: str
    runs: list[Run] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    build_s: dict[str, float] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def text(self) -> str:
        return json_output.document("bench", asdict(self), indent=1) + "\n"

    @staticmethod
    def joined(results: list[Result]) -> Result:
        """One result with all runs; what each result has once is taken from the first that has it."""
        first, *others = results
        for other in others:
            if other.command != first.command:
                first.command += f"` and `{other.command}"
            first.runs += other.runs
            first.sizes = {**other.sizes, **first.sizes}
            first.build_s = first.build_s or other.build_s
            first.absent = [what for what in first.absent if what in other.absent]
        return first

    @staticmethod
    def parse(text: str) -> Result:
        hint = "`tinyvmi-build bench --json` writes such a file"
        try:
            value: Any = json_output.unwrap("bench", json.loads(text), "the file")
            return Result(**{**value, "runs": [_run(run) for run in value["runs"]]})
        except UsageError as error:
            raise UsageError(error.message, hint=hint) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"these are no figures of tinyvmi-build bench: {error}", hint=hint) from None


def _run(value: Any) -> Run:
    def spreads(found: Any) -> dict[str, Spread]:
        return {name: Spread(**s) for name, s in found.items()}

    return Run(
        **{
            **value,
            "figures": [Figure(**{**f, "ns": Spread(**f["ns"])}) for f in value["figures"]],
            "timings": {who: spreads(stages) for who, stages in value["timings"].items()},
            "find_us": spreads(value["find_us"]),
            "write_latency_ms": spreads(value["write_latency_ms"]),
            "latency_ms": Spread(**value["latency_ms"]) if value["latency_ms"] else None,
            "slowdown": [Slowdown(**{**s, "s": Spread(**s["s"])}) for s in value["slowdown"]],
            "growth": [Growth(**g) for g in value["growth"]],
        }
    )
