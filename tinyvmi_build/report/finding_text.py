"""A finding or notice as a person reads it: where, what should be there, what is, and what that means."""

from __future__ import annotations

from collections.abc import Iterator

from tinyvmi_build.explain.explainer import Explanation
from tinyvmi_build.records.format import Finding, Notice
from tinyvmi_build.report.paint import ALARM, WARN, Painter
from tinyvmi_build.report.words import distance, some_bytes
from tinyvmi_build.safe_text import safe


def finding_lines(found: Finding, known: Explanation, painter: Painter) -> Iterator[str]:
    """The lines; `known` is what the profile knows."""
    at = safe(found.symbol) + distance(found.offset)
    near = f" [{safe(known.symbol)}]" if known.symbol and known.symbol not in (found.symbol, at) else ""
    label, colour = ("NOTICE", WARN) if isinstance(found, Notice) else ("FINDING", ALARM)
    head = f"  {label} {safe(found.check)}: {safe(found.kind)} at {at}"
    yield painter.paint(colour, head) + f" = {known.address or found.address}{near}"
    where = ", ".join(filter(None, (known.section, known.site and f"patch site: {known.site}")))
    if where:
        yield f"    in       {where}"
    text = found.kind == "string"
    expected = some_bytes(known.expected_bytes or found.expected, known.expected, text)
    yield f"    expected {expected or 'not known here'}"
    yield from map(_code, known.expected_code)
    yield f"    found    {some_bytes(known.actual_bytes or found.actual, known.actual, text)}"
    yield from map(_code, known.actual_code)
    if known.beside:
        yield f"    beside   {', '.join(known.beside[:4])}: checked separately"
    if found.target:
        name = f" <{safe(known.target)}>" if known.target else ""
        owner = f", which the guest calls {safe(found.owner)}" if found.owner else ""
        yield f"    leads to {found.target}{name}{owner}"
    for label, more in (("note", safe(found.note)), ("meaning", known.meaning), ("by", known.attribution)):
        if more:
            yield f"    {label:<8} {more}"


def _code(line: str) -> str:
    return f"               {safe(line)}"
