"""How long to wait: every time limit grows with how slow and how busy this machine is.

A nested lab emulates two processors, so a machine that is slow, or that runs other emulators,
needs several times the usual time.  `calibrate` measures a fixed piece of work once, at the start
of a test run and of `lab run`; `timeout` then reads the load each time.  Without it, and with
TINYVMI_TIMEOUT_FACTOR in any case, the emulation timeout scale is a constant.
"""

from __future__ import annotations

import os
import random
import time
import zlib
from pathlib import Path

from tinyvmi_build.errors import UsageError

VARIABLE = "TINYVMI_TIMEOUT_FACTOR"
SCALE_MAX = 20.0
_LOADAVG = Path("/proc/loadavg")
_REFERENCE_S = 0.009  # that piece of work on the machine for which the time limits were chosen
_REPETITIONS = 5
_slowness: float | None = None  # how much slower this machine is; None: not measured


def calibrate(least: float = 1.0) -> float:
    """Measure this machine's speed, for all later time limits; the scale now.  It is never below `least`."""
    global _slowness
    data = random.Random(1).randbytes(1 << 16) * 4 + bytes(range(256)) * 1024
    measured = []
    for _ in range(_REPETITIONS):
        begun = time.perf_counter()
        zlib.compress(data, 6)
        measured.append(time.perf_counter() - begun)
    # The median: a single repetition may have been interrupted, or have had the machine to itself.
    _slowness = max(least, sorted(measured)[_REPETITIONS // 2] / _REFERENCE_S)
    return scale()


def scale() -> float:
    """The emulation timeout scale; UsageError if TINYVMI_TIMEOUT_FACTOR is no number in (0, 1000)."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return 1.0 if _slowness is None else min(_slowness * _busyness(), SCALE_MAX)
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1000:
        raise UsageError(f"{VARIABLE} is '{text}'", hint="give a number such as 2")
    return factor


def timeout(seconds: float) -> float:
    """`seconds` times the emulation timeout scale."""
    return seconds * scale()


def _busyness() -> float:
    """How many want each processor: of the last minute, or just now if that is more; at least 1."""
    try:
        fields = _LOADAVG.read_text().split()
        wanting = max(float(fields[0]), float(fields[3].partition("/")[0]))
    except (OSError, ValueError, IndexError):
        return 1.0
    return max(1.0, wanting / (os.cpu_count() or 1))
