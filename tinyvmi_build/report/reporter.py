"""What a reporter does: it gets every event as it comes, and the collector at the end of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Event
from tinyvmi_build.records.verdict import Verdict


@dataclass(frozen=True)
class Attached:
    """A monitor, in domain `monitor_domain`, is about to watch domain `target_domain`, called `target`."""

    target: str
    target_domain: int
    monitor_domain: int


@dataclass(frozen=True)
class Status:
    """The verdict of the last scan has been the same for `seconds`, over `scans` scans."""

    verdict: Verdict
    seconds: float
    scans: int


class Reporter(Protocol):
    """Takes the events of a run."""

    def events(self, events: Iterable[Event], /) -> None: ...


class RunReporter(Reporter, Protocol):
    """A reporter that tells one run from the next."""

    def attached(self, attached: Attached, /) -> None: ...

    def status(self, status: Status, /) -> None:
        """Nothing has changed for a while."""

    def detached(self, collector: Collector, /) -> None:
        """That run has ended with its target, and another one will follow."""
