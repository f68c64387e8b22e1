"""One `tinyvmi-build bench` from beginning to end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..lab.project import loaded_project
from ..progress import Progress
from . import machine
from .lab import compare, programs
from .result import ICOUNT, Result


def measure(
    project: Path | None,
    sets: tuple[str, ...],
    *,
    clocks: Sequence[str],
    rounds: int,
    scans: int,
    quick: bool,
    keep: bool,
    command: str,
    progress: Progress,
) -> Result:
    """Build, boot once a clock, measure."""
    loaded = loaded_project(project, sets, progress)
    what = programs(loaded, progress)
    result = Result(command, {**machine.describe(), "emulator": machine.emulator()}, __version__)
    for clock in clocks:
        result.runs.append(
            compare(
                loaded,
                what,
                icount=clock == ICOUNT,
                rounds=rounds,
                scans=scans,
                extras=[],
                progress=progress,
                keep=keep,
            )
        )
    return result
