"""What `tinyvmi-build bench` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchOptions:
    """Of every bench.  `command`: as it can be typed again."""

    command: str
    rounds: int = 5  # of all who are compared, in turn
    scans: int = 3  # in a round
    libvmi: Path | None = None  # where LibVMI is installed


@dataclass(frozen=True)
class LabOptions(BenchOptions):
    """Of a bench in the lab: one boot a clock.  `quick`: the comparison and the sizes alone."""

    clocks: tuple[str, ...] = ()
    avx2: bool = False
    quick: bool = False
    keep: bool = False


@dataclass(frozen=True)
class HostOptions(BenchOptions):
    """Of a bench on a Xen host, over its running domain `target`."""

    target: str = ""
    pause: bool = True
