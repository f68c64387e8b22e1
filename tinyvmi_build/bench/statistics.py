"""Medians with their spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Of `n` values: median, quartiles, extremes; all in the values' own unit."""

    n: int
    median: float
    q1: float
    q3: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread | None:
    """None if there are no values.  Quartiles are interpolated, the ends included."""
    found = sorted(values)
    if not found:
        return None
    if len(found) == 1:
        q1 = median = q3 = found[0]
    else:
        q1, median, q3 = statistics.quantiles(found, n=4, method="inclusive")
    return Spread(len(found), median, q1, q3, found[0], found[-1])


def less(ours: float, theirs: float) -> float:
    """By how much `ours` is less than `theirs`, in percent; negative if it is more."""
    return 100 * (1 - ours / theirs)
