"""The line of a key in a TOML file, for error messages: tomllib does not report it."""

from __future__ import annotations

import re

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_ASSIGN = re.compile(rf"\s*({_DOTTED})\s*=")


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The 1-based line that sets `path`; if that is in an inline table, the line of the nearest table."""
    table: tuple[str, ...] = ()
    best, best_length = None, 0
    inside = ""  # the quotes of a multi-line string that is open
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            if inside in line:
                inside = ""
            continue
        header, assign = _HEADER.match(line), _ASSIGN.match(line)
        if header:
            here = table = _split(header[1])
        elif assign:
            here = table + _split(assign[1])
        else:
            continue
        if len(here) > best_length and path[: len(here)] == here:
            best, best_length = number, len(here)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                inside = quotes
    return best


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_NAME, dotted))
