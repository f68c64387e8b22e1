"""The end of a run as a person reads it: a table of the checks, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from tinyvmi_build.records.collector import CheckState, Collector
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.paint import ALARM, WARN, Painter
from tinyvmi_build.report.words import count_of, short_time
from tinyvmi_build.safe_text import safe


def closing_lines(collector: Collector, painter: Painter) -> Iterator[str]:
    """All of it."""
    if collector.checks:
        width = max(len("check"), *(len(safe(name)) for name in collector.checks))
        yield ""
        yield f"  {'check':<{width}}  {'verdict':<13} {'compared':>8} {'findings':>8} {'time':>10}"
        for name, state in collector.checks.items():
            yield f"  {safe(name):<{width}}  {_row(state, painter)}"
    if collector.missing:
        yield "  " + painter.paint(WARN, "not reported yet") + f": {', '.join(collector.missing)}"
    first = collector.timings.get("first-scan")
    if collector.live and first is not None:
        found = collector.timings.get("kernel", first)
        yield f"  kernel found {found:.1f} s after the monitor's start, first verdict {first:.1f} s"
    yield ""
    yield _verdict(collector, painter)


def _row(state: CheckState, painter: Painter) -> str:
    more = f"  {safe(state.reason)}" if state.reason else ""
    more += f"  ({count_of(state.notices, 'notice')})" if state.notices else ""
    if state.worst is not state.verdict:
        more += f"  (was {state.worst} in this run)"
    return (
        f"{painter.verdict(state.verdict, f'{state.verdict:<13}')} {state.items:>8} {state.findings:>8}"
        f" {short_time(state.duration_us):>10}{more}"
    )


def _verdict(collector: Collector, painter: Painter) -> str:
    scans = count_of(collector.scans, "scan")
    verdict = collector.verdict
    if collector.lost_reason is not None:
        before = f"; before that: {verdict}" if verdict is Verdict.TAMPERED else ""
        return f"{painter.paint(ALARM, 'MONITOR LOST')}: {safe(collector.lost_reason)} ({scans}{before})"
    if verdict is None or (verdict is Verdict.UNVERIFIABLE and not collector.checks):
        why = f": {safe(collector.waiting)}" if collector.waiting else ""
        return f"{painter.paint(WARN, 'nothing was checked')}{why} ({scans})"
    return f"{painter.verdict(verdict, verdict.upper())} ({scans})"
