"""Everything that one `tinyvmi-build bench` found, as JSON and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tinyvmi_build import json_output
from tinyvmi_build.bench.samples import Figure
from tinyvmi_build.bench.statistics import Spread
from tinyvmi_build.errors import UsageError

ICOUNT, WALL, HOST = "icount", "wall", "host"
#: What a nanosecond of each clock is.
CLOCKS = {
    ICOUNT: "instructions on one emulated processor (QEMU -icount shift=0,sleep=off: 1 ns is 1 instruction)",
    WALL: "wall-clock time under QEMU's emulation, two processors: not silicon",
    HOST: "wall-clock time on this Xen host",
}


@dataclass
class Run:
    """One boot: `clock` says what its nanoseconds are."""

    clock: str
    figures: list[Figure] = field(default_factory=list)
    timings: dict[str, dict[str, Spread]] = field(default_factory=dict)  # who → stage → s
    find_us: dict[str, Spread] = field(default_factory=dict)  # who → work to find the kernel
    latency_ms: Spread | None = None  # from a tamper to its record
    latency_period_ms: int = 0
    #: Check → ms from the target's own write to the record.
    written_ms: dict[str, Spread] = field(default_factory=dict)
    slowdown: list[dict[str, Any]] = field(default_factory=list)  # workload, period_ms (0: no monitor), s
    growth: list[dict[str, Any]] = field(default_factory=list)  # what, figures
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
        """One with all runs; what is said once is the first's, or who has it."""
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
        try:
            value: Any = json_output.unwrap("bench", json.loads(text), "this")
            return Result(**{**value, "runs": [_run(run) for run in value["runs"]]})
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"these are no figures of tinyvmi-build bench: {error}") from None


def _run(value: dict[str, Any]) -> Run:
    latency = value["latency_ms"]
    return Run(
        **{
            **value,
            "figures": [Figure(**{**f, "ns": Spread(**f["ns"])}) for f in value["figures"]],
            "timings": {
                who: {stage: Spread(**s) for stage, s in stages.items()}
                for who, stages in value["timings"].items()
            },
            "find_us": {who: Spread(**s) for who, s in value["find_us"].items()},
            "written_ms": {what: Spread(**s) for what, s in value.get("written_ms", {}).items()},
            "latency_ms": Spread(**latency) if latency else None,
        }
    )
