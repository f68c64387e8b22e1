"""Flat TAP, as the test image prints it, and the names that its sources promise."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_PLAN = re.compile(r"1\.\.(\d+)$")
_RESULT = re.compile(r"(not ok|ok) (\d+) - (.+)$")
_PROMISE = re.compile(r'^\s*\{ ?"([^"]+: [^"]+)", \w+ ?\},?$', re.MULTILINE)


@dataclass
class Tap:
    """`planned`: None without a plan; `results`: name → passed; `notes`: name → the lines before it."""

    planned: int | None = None
    results: dict[str, bool] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def parse(lines: list[str]) -> Tap:
    """Results in the order of their numbers; a number out of order or a name twice is a ValueError."""
    tap = Tap()
    notes: list[str] = []
    for line in lines:
        if plan := _PLAN.match(line):
            if tap.planned is not None:
                raise ValueError(f"a second plan: {line}")
            tap.planned = int(plan[1])
        elif result := _RESULT.match(line):
            name = result[3]
            if int(result[2]) != len(tap.results) + 1 or name in tap.results:
                raise ValueError(f"out of order or repeated: {line}")
            tap.results[name] = result[1] == "ok"
            tap.notes[name], notes = notes, []
        else:
            notes.append(line)
    return tap


def promised(folder: Path) -> list[str]:
    """Names of all tests in the sources of `folder`, but for those that need the real xenstored."""
    names = []
    for source in sorted(folder.glob("test_*.c")):
        names += [n for n in _PROMISE.findall(source.read_text()) if not n.startswith("xenstored:")]
    return names
