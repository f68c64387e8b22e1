"""The lines that the dom0 side of a comparison prints (dom0_side.py), read and sorted by kind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Each line names who was measured, in which round, and the type of what follows.
Line = Mapping[str, object]


@dataclass(frozen=True)
class Cost:
    """What one check of one scan took; `parts`: the ns of its parts by field, if it has them."""

    who: str
    round: int
    scan: int
    check: str
    took_ns: int
    map_ns: int
    map_pages: int
    incremental: bool
    parts: Mapping[str, int]


PART_FIELDS = ("read_ns", "sites_ns", "hash_ns", "report_ns")


@dataclass
class Measurements:
    """The lines of one comparison, by kind."""

    costs: list[Cost] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)  # check → what the monitor or dom0 compares in it
    verdicts: set[str] = field(default_factory=set)
    timings: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    find_us: dict[str, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )  # who → to find the kernel
    failed: list[str] = field(default_factory=list)

    def add_text(self, text: str) -> None:
        """Add one line of output; a line that is no JSON object of a known type is ignored."""
        try:
            line = json.loads(text)
        except ValueError:
            return
        if isinstance(line, dict) and {"type", "who", "round"} <= line.keys():
            self.add(line)

    def add(self, line: Line) -> None:
        """Add one line."""
        kind, who, number = str(line["type"]), str(line["who"]), _int(line, "round")
        if kind == "failed":
            self.failed.append(f"{who}, round {number}: {line['what']}")
        elif number == 0:
            return  # it warmed what was cold
        elif kind == "cost":
            self.costs.append(_cost(line))
        elif kind == "check":
            self.items[str(line["check"])] = _int(line, "items")
            self.verdicts.add(str(line["verdict"]))
        elif kind == "timing":
            self.timings[who].append(
                {k: float(v) for k, v in line.items() if isinstance(v, float | int) and k != "round"}
            )
        elif kind == "kernel":
            self.find_us[who].append(_int(line, "duration_us"))


def _cost(line: Line) -> Cost:
    parts = {name: _int(line, name) for name in PART_FIELDS if name in line}
    return Cost(
        who=str(line["who"]),
        round=_int(line, "round"),
        scan=_int(line, "scan"),
        check=str(line["check"]),
        took_ns=_int(line, "took_ns"),
        map_ns=_int(line, "map_ns"),
        map_pages=_int(line, "map_pages"),
        incremental=bool(line.get("incremental")),
        parts=parts if len(parts) == len(PART_FIELDS) else {},
    )


def _int(line: Line, key: str) -> int:
    value = line[key]
    assert isinstance(value, int), f"{key} is {value!r}"
    return value
