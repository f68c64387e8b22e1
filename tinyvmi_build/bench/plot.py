"""A scan's cost as bars, in SVG."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from ..paths import data_dir
from .report import NAMES, amount, unit
from .result import Result, Run
from .samples import LATER, MAPPING, WHOLE, WORK, pick

_BAR, _GAP, _LEFT, _WIDTH = 22, 8, 150, 520
_SHOWN = "text + rodata"


@dataclass(frozen=True)
class Bar:
    y: int
    name: str
    mapping: int  # widths in pixels
    work: int
    label: str


@dataclass(frozen=True)
class Panel:
    y: int
    title: str
    bars: list[Bar]


def plot(result: Result) -> str:
    """One panel a run: text + rodata, mapping and the rest of each who was compared."""
    panels, y = [], 20
    for run in result.runs:
        panel = _panel(run, y)
        panels.append(panel)
        y += 40 + len(panel.bars) * (_BAR + _GAP)
    loader = jinja2.FileSystemLoader(data_dir("templates"))
    env = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return env.get_template("bench/plot.svg.j2").render(
        panels=panels, height=y + 30, width=_LEFT + _WIDTH + 140, left=_LEFT, bar=_BAR, command=result.command
    )


def _panel(run: Run, y: int) -> Panel:
    found = []
    for who, name in NAMES.items():
        parts = [pick(run.figures, who, _SHOWN, LATER, phase) for phase in (MAPPING, WORK, WHOLE)]
        if all(parts):
            found.append((name, *(part.ns.median for part in parts if part)))
    most = max((whole for _, _, _, whole in found), default=1.0)
    bars = [
        Bar(
            y + 30 + i * (_BAR + _GAP),
            name,
            round(_WIDTH * mapping / most),
            round(_WIDTH * work / most),
            amount(run, whole),
        )
        for i, (name, mapping, work, whole) in enumerate(found)
    ]
    return Panel(y, f"{_SHOWN}, {unit(run)} ({run.clock})", bars)
