"""A run for a person: lines as it goes, a table of the checks at the end.

Whatever comes from the monitor, and so perhaps from its target, passes through safe() first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records.collector import Collector, exit_of_runs
from tinyvmi_build.records.events import (
    Event,
    Finished,
    Lost,
    Received,
    ScanDone,
    Stopped,
    WorstTimes,
)
from tinyvmi_build.records.format import Finding, KernelFound, Waiting
from tinyvmi_build.records.protocol import Broken, Record, Text
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.closing_text import closing_lines
from tinyvmi_build.report.finding_text import finding_lines
from tinyvmi_build.report.paint import ALARM, BAD, DIM, Painter
from tinyvmi_build.report.record_text import record_line
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.report.stamp import Stamp
from tinyvmi_build.report.words import count_of, long_time
from tinyvmi_build.safe_text import safe

_SHOWN_LINE = 120


class Terminal:
    """Coloured on a terminal only.  With a `stamp` each line begins with time and target."""

    def __init__(self, stream: TextIO, explain: Explainer | None = None, *, stamp: Stamp | None = None):
        self._painter = Painter(stream, stamp)
        self._line = self._painter.line
        self._stamp = stamp
        self._explain = explain or Explainer(None)
        self._start_run()

    def _start_run(self) -> None:
        self._verdict: Verdict | None = None  # of the last scan, as it was printed
        self._waited_for: set[str] = set()  # reasons to wait since the last scan

    def events(self, events: Iterable[Event]) -> None:
        """Print each of `events`."""
        for event in events:
            self._event(event)

    def attached(self, attached: Attached) -> None:
        """A monitor is about to watch a target: its first record is the line for that."""
        if self._stamp is not None:
            self._stamp.target = attached.target

    def status(self, status: Status) -> None:
        """One line: nothing has changed."""
        verdict = self._painter.verdict(status.verdict)
        self._line(f"{verdict} for {long_time(status.seconds)}, {count_of(status.scans, 'scan')}")

    def detached(self, collector: Collector) -> None:
        """The table of a run that another one follows."""
        self._close(collector)
        self._start_run()

    def close(self, collector: Collector, earlier: Sequence[Collector] = ()) -> None:
        """The table of checks and the verdict of the run, and of all if it was not the only one."""
        self._close(collector)
        if earlier:
            runs = [*earlier, collector]
            code = exit_of_runs(runs)
            self._line(f"{len(runs)} runs, the worst {code.name.lower().replace('_', ' ')}")

    def _close(self, collector: Collector) -> None:
        for line in closing_lines(collector, self._painter):
            self._line(line)

    def _event(self, event: Event) -> None:
        paint = self._painter.paint
        match event:
            case Text():
                self._line(paint(DIM, f"| {safe(event.text)}"))
            case Broken():
                self._line(paint(BAD, f"broken record: {safe(event.reason)}"))
                if event.line:
                    self._line(paint(DIM, f"| {safe(event.line[:_SHOWN_LINE])}"))
            case Received():
                self._record(event.record)
            case ScanDone():
                self._waited_for.clear()
                if self._verdict is not event.verdict:
                    self._line(f"scan {event.scan}: {self._painter.verdict(event.verdict)}")
                self._verdict = event.verdict
            case WorstTimes():
                self._worst_times(event)
            case Lost():
                self._line(paint(ALARM, f"monitor lost: {safe(event.reason)}"))
            case Stopped():
                self._line(f"the run ends: {event.reason}")
            case Finished():
                self._line(f"the monitor ends: {safe(event.reason)}")

    def _worst_times(self, worst: WorstTimes) -> None:
        self._line(f"worst times to detection, with scans of {worst.scan_s:.3g} s:")
        for row in worst.rows:
            self._line(f"  {row.seconds:>8.3g} s  {row.change.replace('`', '')} ({safe(row.check)})")

    def _record(self, record: Record) -> None:
        data = record.data
        if isinstance(data, KernelFound):
            self._explain.see(record.body)
        if isinstance(data, Finding):
            for line in finding_lines(data, self._explain.finding(record.body), self._painter):
                self._line(line)
        elif isinstance(data, Waiting):
            self._waiting(data)
        elif line_of_record := record_line(record, self._painter):
            self._line(line_of_record)

    def _waiting(self, waiting: Waiting) -> None:
        """Each reason once: a kernel that boots is found, forgotten and found again."""
        banner = f"; its memory says: {safe(waiting.banner)}" if waiting.banner else ""
        text = f"waiting: {safe(waiting.reason)}{banner}"
        if text not in self._waited_for:
            self._line(text)
        self._waited_for.add(text)
        self._verdict = None  # the next scan is news
