"""Listens to a monitor's console until the monitor ends, is lost, or the run is asked to end."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Event
from tinyvmi_build.records.protocol import LineSplitter
from tinyvmi_build.report.latency import LatencyMeter, Schedule
from tinyvmi_build.report.reporter import RunReporter
from tinyvmi_build.report.status import StatusTimer
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.stop import Stop
from tinyvmi_build.xen.watch import Watch

_TICK_S = 0.5  # the longest wait: signals, the clock and the domain are looked after this often
_DRAIN_S = 0.1  # the same, once the domain has ended
_LAST_WORDS_S = 1.0  # xenconsoled may still hold some when the domain has ended


class Listener:
    """Feeds `collector` and passes what it answers to `reporter`."""

    def __init__(self, collector: Collector, reporter: RunReporter, schedule: Schedule, stop: Stop):
        self._collector, self._reporter, self._stop = collector, reporter, stop
        self._meter = LatencyMeter(schedule)
        self._lines = LineSplitter()

    def listen(
        self, console: Console, watch: Watch, seconds: float | None = None, status_every_s: float = 0.0
    ) -> None:
        """Until the run is over; after `seconds` the monitor counts as lost."""
        collector = self._collector
        self._status = StatusTimer(status_every_s)
        deadline = None if seconds is None else time.monotonic() + seconds
        ended: str | None = None
        ended_at = 0.0
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            waits = [wait for wait in (_TICK_S, collector.remaining(), left) if wait is not None]
            chunk = console.read(min(waits) if ended is None else _DRAIN_S)
            if chunk:
                self._take(self._lines.feed(chunk))
            if collector.over:
                return
            if self._stop.requested:
                self._drain(console)
                self._report(collector.stopped(str(self._stop.reason)))
                return
            if deadline is not None and time.monotonic() >= deadline:
                self._report(collector.lost(f"the time is up ({seconds:g} s)"))
                return
            if ended is None:
                # Text that is no record is no sign of life: the clock is read whether some came or not.
                self._report(collector.tick())
                self._report_status()
                if not chunk:
                    ended = watch.ended() or ("its console closed" if chunk is None else None)
                    ended_at = time.monotonic()
            elif not chunk and (chunk is None or time.monotonic() > ended_at + timeout(_LAST_WORDS_S)):
                self._take(self._lines.flush())
                if collector.bye is None:
                    self._report(collector.lost(ended))
                return

    def _drain(self, console: Console) -> None:
        """Take what is on its way: it counts."""
        until = time.monotonic() + _LAST_WORDS_S
        while time.monotonic() < until and (chunk := console.read(_DRAIN_S)):
            self._take(self._lines.feed(chunk))

    def _take(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._report(self._collector.feed(piece))

    def _report(self, events: list[Event]) -> None:
        if events:
            followed = self._meter.following(events)
            self._status.events(followed)
            self._reporter.events(followed)

    def _report_status(self) -> None:
        status = self._status.due()
        if status is not None and not self._collector.over:
            self._reporter.status(status)
