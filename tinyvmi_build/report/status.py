"""The periodic line of a run in which nothing changes: how long its verdict has been the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tinyvmi_build.records.events import Event, ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.reporter import Status


class StatusTimer:
    """Due every `every_s` seconds (0: never) without a change of the verdict."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic):
        self._every_s = every_s
        self._clock = clock
        self._verdict: Verdict | None = None
        self._since = self._reported_at = clock()
        self._scans = 0  # since then

    def events(self, events: Iterable[Event]) -> None:
        """Take note of scans."""
        for event in events:
            if not isinstance(event, ScanDone):
                continue
            if event.verdict is not self._verdict:
                self._verdict, self._scans = event.verdict, 0
                self._since = self._reported_at = self._clock()
            self._scans += 1

    def due(self) -> Status | None:
        """What is to be reported now, if anything."""
        now = self._clock()
        if not self._every_s or self._verdict is None or now - self._reported_at < self._every_s:
            return None
        self._reported_at = now
        return Status(self._verdict, round(now - self._since, 1), self._scans)
