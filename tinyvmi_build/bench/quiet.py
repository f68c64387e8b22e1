"""A reporter that reports nothing: what is measured derives from it and takes the events that it needs."""

from __future__ import annotations

from collections.abc import Iterable

from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Event
from tinyvmi_build.report.reporter import Attached, Status


class QuietReporter:
    """Ignores every event."""

    def events(self, events: Iterable[Event]) -> None:
        pass

    def attached(self, attached: Attached) -> None:
        pass

    def status(self, status: Status) -> None:
        pass

    def detached(self, collector: Collector) -> None:
        pass
