"""Durations: one grammar for files, `--set`, the environment and every option."""

from __future__ import annotations

import re

#: What an error says was wanted.
GRAMMAR = 'a time with its unit: "500ms", "1.5s", "2min" or "1h"'
#: The same as a regular expression, for the JSON Schema.  `m` is a short form of `min`.
PATTERN = r"[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|min|m|h)"

_MS = {"h": 3_600_000, "min": 60_000, "m": 60_000, "s": 1000, "ms": 1}
_SHOWN = ("h", "min", "s", "ms")
_WHOLE = re.compile(PATTERN, re.ASCII)


def parse_duration(text: str, low_ms: int, high_ms: int) -> int:
    """`text` in milliseconds; ValueError, saying what was wanted, unless it is within the limits."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(GRAMMAR)
    # In whole numbers: fractions and decimal are not in the small Python of the lab's dom0.
    whole, _, part = text.removesuffix(match[2]).partition(".")
    ms, odd = divmod((int(whole) * 1000 + int(part.ljust(3, "0"))) * _MS[match[2]], 1000)
    if odd:
        raise ValueError("a whole number of milliseconds")
    if not low_ms <= ms <= high_ms:
        raise ValueError(f"a time from {duration_text(low_ms)} to {duration_text(high_ms)}")
    return ms


def duration_text(ms: int) -> str:
    """`ms` in the largest unit that divides it."""
    unit = next(u for u in _SHOWN if ms % _MS[u] == 0 and (ms or u == "ms"))
    return f"{ms // _MS[unit]}{unit}"
