"""docs/results/performance.md and the plot, written from a result."""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from tinyvmi_build.bench.figures import LATER, MAPPING, PARTS, WHOLE, pick
from tinyvmi_build.bench.plan import DIGESTS, MONITOR
from tinyvmi_build.bench.report import FOOT, NAMES, amount, tables, unit
from tinyvmi_build.bench.result import CLOCKS, Result, Run
from tinyvmi_build.bench.statistics import less
from tinyvmi_build.paths import data_dir

_BAR, _GAP, _LEFT, _WIDTH = 22, 8, 150, 520
_SHOWN = "text + rodata"
_COLOURS = dict(zip(PARTS, ("#c44e52", "#4c72b0", "#dd8452", "#8172b3", "#937860"), strict=True))


def document(result: Result, plot: str | None) -> str:
    """Markdown; `plot` is the file name of a plot beside it."""
    missing = [*result.absent, *(f"{run.clock}: {what}" for run in result.runs for what in run.failed)]
    text = _environment(autoescape=False).get_template("bench/performance.md.j2").render(
        result=result, clocks=CLOCKS, foot=FOOT, plot=plot, tables=tables(result), missing=missing,
        gains=[gain for run in result.runs for gain in _gains(run)],
    )  # fmt: skip
    return text.rstrip("\n") + "\n"


def _gains(run: Run) -> list[str]:
    """How much less the monitor takes than a dom0 that maps page by page, as the thesis compares."""
    found = []
    for phase, what in ((MAPPING, "mapping alone"), (WHOLE, "the whole check of text and rodata")):
        ours = pick(run.figures, MONITOR, _SHOWN, LATER, phase)
        theirs = pick(run.figures, "dom0-single", _SHOWN, LATER, phase)
        if ours and theirs:
            found.append(f"{what} {less(ours.ns.median, theirs.ns.median):.1f} % less ({run.clock})")
    return found


@dataclass(frozen=True)
class Segment:
    x: int
    width: int
    colour: str


@dataclass(frozen=True)
class Bar:
    y: int
    name: str
    segments: list[Segment]
    end: int
    label: str


@dataclass(frozen=True)
class Panel:
    y: int
    title: str
    bars: list[Bar]


def plot(result: Result) -> str:
    """SVG: one panel a run: text + rodata, in phases, of all who were compared."""
    panels, y = [], 20
    for run, way in ((run, way) for run in result.runs for way in ("", DIGESTS)):
        panel = _panel(run, y, way)
        if not panel.bars:
            continue
        panels.append(panel)
        y += 40 + len(panel.bars) * (_BAR + _GAP)
    return (
        _environment(autoescape=True)
        .get_template("bench/plot.svg.j2")
        .render(
            panels=panels,
            height=y + 30,
            width=_LEFT + _WIDTH + 140,
            left=_LEFT,
            bar=_BAR,
            command=result.command,
            colours=_COLOURS,
        )
    )


def _panel(run: Run, y: int, way: str) -> Panel:
    found: list[tuple[str, dict[str, float]]] = []
    for who, name in NAMES.items():
        figures = {phase: pick(run.figures, who + way, _SHOWN, LATER, phase) for phase in _COLOURS}
        parts = {phase: figure.ns.median for phase, figure in figures.items() if figure}
        if len(parts) == len(_COLOURS):
            found.append((name, parts))
    scale = _WIDTH / max((sum(parts.values()) for _, parts in found), default=1.0)
    bars = []
    for i, (name, parts) in enumerate(found):
        segments, at = [], float(_LEFT)
        for phase, ns in parts.items():
            segments.append(Segment(round(at), round(at + scale * ns) - round(at), _COLOURS[phase]))
            at += scale * ns
        label = amount(run, sum(parts.values()))
        bars.append(Bar(y + 30 + i * (_BAR + _GAP), name, segments, round(at), label))
    return Panel(y, f"{_SHOWN}{way}, {unit(run)} ({run.clock})", bars)


def _environment(autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates")),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
