"""What a run's record stream amounts to: a state machine that trusts nothing it was not told properly.

Feed it console lines; it answers with events and keeps the verdict.  A stream
with a gap, a bad CRC, a foreign nonce, silence, or an end without `bye` means
that the monitor is lost: whatever it said before, the run is never intact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinyvmi_build.errors import Exit
from tinyvmi_build.records.protocol import Broken, Record, Text, parse_line
from tinyvmi_build.records.verdict import Verdict, exit_of, worst
from tinyvmi_build.report.latency import Measuring, Rhythm, WorstTimes

MAX_CHECKS = 64  # more names than any monitor has
_LONGEST_US = 600_000_000  # that one check is allowed to take
MAX_FINDINGS = 16  # kept for each check and scan; the contract's own bound


@dataclass(frozen=True)
class Received:
    """A good record that fits into the stream."""

    record: Record


@dataclass(frozen=True)
class ScanDone:
    """The monitor has completed `scan` scans; `verdict` is that of the last one."""

    scan: int
    verdict: Verdict


@dataclass(frozen=True)
class Lost:
    """The monitor is lost (told once)."""

    reason: str


@dataclass(frozen=True)
class Finished:
    """The monitor said `bye`."""

    reason: str
    verdict: Verdict | None


Event = Text | Broken | Received | ScanDone | WorstTimes | Lost | Finished


@dataclass
class CheckState:
    """The latest word about one check."""

    verdict: Verdict
    ever: Verdict  # the worst it has been in this run
    scan: int
    units: int
    findings: int
    us: int
    reason: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)  # findings of the latest scan with any
    notices: int = 0  # what the configuration allows, of the latest scan


class Collector:
    """One run.  `run`, `image`, `target`: what `hello` must say, if known.  `checks`: names that must report.

    `start_s` bounds the time to the first record, `silence_s` the time between two (to which three times
    the longest check so far is added); None is no bound.
    `bye_due` is False only for a recording that may be cut off.  `rhythm`: the monitor's, for WorstTimes.
    """

    def __init__(
        self,
        run: str | None = None,
        *,
        image: str | None = None,
        target: int | None = None,
        checks: Iterable[str] = (),
        start_s: float | None = None,
        silence_s: float | None = None,
        bye_due: bool = True,
        rhythm: Rhythm | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._expected = {"nonce": run, "image": image, "target": target}
        self._required = tuple(checks)
        self._start_s, self._silence_s = start_s, silence_s
        self._bye_due = bye_due
        self.live = start_s is not None  # listened to as it runs
        self._clock = clock
        self._started_at = self._seen_at = clock()
        self._longest_s = 0.0  # check so far: within one a monitor cannot give a sign of life
        self._next_seq = 0
        self.hello: dict[str, Any] | None = None
        self.kernel: dict[str, Any] | None = None
        self.checks: dict[str, CheckState] = {}
        self.errors: list[dict[str, Any]] = []
        self.waiting: str | None = None  # why nothing can be checked yet
        self.bye: dict[str, Any] | None = None
        self.scans = 0
        self.current: Verdict | None = None  # of the last scan
        self.lost_reason: str | None = None
        self.timings: dict[str, float] = {}  # s from its making to hello, kernel, first-check, first-scan
        self._worst_scan: Verdict | None = None
        self._measuring = Measuring(rhythm) if rhythm else None
        self.worst_times: WorstTimes | None = None  # from the first scan on, if the rhythm is known
        self.digested: int | None = None  # pages of which no copies are kept for want of memory

    # What goes in

    def feed(self, line: str | bytes) -> list[Event]:
        """One console line → what happened.  Never raises, whatever the line holds."""
        events: list[Event] = []
        for item in parse_line(line):
            if isinstance(item, Record):
                events += self._accept(item)
            else:
                events.append(item)
                if isinstance(item, Broken):
                    events += self.lost(item.reason)
        return events

    def tick(self) -> list[Event]:
        """Look at the clock: `Lost` if the monitor has been silent for too long."""
        left = self.remaining()
        if left is None or left > 0:
            return []
        if self.hello is None:
            return self.lost(f"it said nothing for {self._start_s:g} s after its start")
        return self.lost(f"it has been silent for {self._limit():.3g} s")

    def remaining(self) -> float | None:
        """Seconds until silence is too long (0 or less: now); None while nothing is awaited."""
        limit = self._limit()
        if limit is None or self.bye is not None or self.lost_reason is not None:
            return None
        return self._seen_at + limit - self._clock()

    def _limit(self) -> float | None:
        if self.hello is None:
            return self._start_s
        return None if self._silence_s is None else self._silence_s + 3 * self._longest_s

    def _reached(self, stage: str) -> None:
        self.timings.setdefault(stage, round(self._clock() - self._started_at, 3))

    def end(self) -> list[Event]:
        """The stream is over: `Lost` unless the monitor has said `bye` (or none was due)."""
        if self.bye is not None or (self.hello is not None and not self._bye_due):
            return []
        return self.lost("its console ended without a bye" if self.hello else "it never said hello")

    def lost(self, reason: str) -> list[Event]:
        """Note that the monitor is lost; the first reason stays."""
        if self.lost_reason is not None:
            return []
        self.lost_reason = reason
        return [Lost(reason)]

    # What comes out

    @property
    def verdict(self) -> Verdict | None:
        """Of the whole run; None if nothing was checked.  Never INTACT for a lost or incomplete run."""
        found = [state.ever for state in self.checks.values()]
        if not found and self.bye is None:
            return None
        if self._worst_scan is not None:
            found.append(self._worst_scan)
        if self.bye is not None:
            found.append(Verdict(self.bye["verdict"]))
        if not self.scans or not self.checks or self.missing or self.lost_reason is not None:
            found.append(Verdict.UNVERIFIABLE)
        return worst(found)

    @property
    def missing(self) -> tuple[str, ...]:
        """Checks that had to report and have not."""
        return tuple(name for name in self._required if name not in self.checks)

    def exit_code(self) -> Exit:
        """The documented exit status of this run as it stands."""
        if self.lost_reason is not None:
            return Exit.MONITOR_LOST
        if self.errors and not self.checks:
            return Exit.ENVIRONMENT
        return exit_of(self.verdict)

    # The machine

    def _accept(self, record: Record) -> list[Event]:
        if record.seq != self._next_seq:
            reason = f"record {self._next_seq} was due and record {record.seq} came"
            if record.seq == 0 and record.type == "hello":
                reason = "it started again"
            self._next_seq = record.seq + 1
            return [Received(record), Broken(reason), *self.lost(reason)]
        self._next_seq += 1
        self._seen_at = self._clock()
        problem = self._order_error(record)
        if problem:
            return [Received(record), Broken(problem), *self.lost(problem)]
        handler = getattr(self, f"_on_{record.type}", None) if record.type in _KNOWN else None
        told = handler(record.body) if handler else []
        return [Received(record), *told, *self._measure(record.body, told)]

    def _measure(self, body: dict[str, Any], told: Sequence[Event]) -> list[Event]:
        """What it makes known of the worst time to detection."""
        if self._measuring is None or self.lost_reason is not None:
            return []
        worst_times = self._measuring.take(body)
        if any(isinstance(event, ScanDone) for event in told):
            worst_times = self._measuring.scanned() or worst_times
        if worst_times is None:
            return []
        self.worst_times = worst_times
        return [worst_times]

    def _order_error(self, record: Record) -> str | None:
        if self.hello is None and record.type != "hello":
            return f"its first record is '{record.type[:40]}', not 'hello'"
        if self.hello is not None and record.type == "hello":
            return "it said hello twice"
        if self.bye is not None:
            return "it went on after its bye"
        return None

    def _on_hello(self, body: dict[str, Any]) -> list[Event]:
        self.hello = body
        self._reached("hello")
        names = {"nonce": "the nonce of another run", "image": "another image", "target": "another target"}
        for key, what in names.items():
            wanted = self._expected[key]
            if wanted is not None and body[key] != wanted:
                return self.lost(f"its hello carries {what} ({body[key]}, not {wanted})")
        return []

    def _on_kernel(self, body: dict[str, Any]) -> list[Event]:
        self.kernel = body
        self._reached("kernel")
        return []

    def _on_memory(self, body: dict[str, Any]) -> list[Event]:
        self.digested = body["digested"]
        return []

    def _on_waiting(self, body: dict[str, Any]) -> list[Event]:
        self.waiting = body["reason"]
        if "banner" in body:
            self.waiting += f"; its memory says: {body['banner']}"
        if self.scans:  # it was watched, and is not now
            self.current = Verdict.UNVERIFIABLE
            self._worst_scan = worst([self.current, *([self._worst_scan] if self._worst_scan else [])])
        return []

    def _on_check(self, body: dict[str, Any]) -> list[Event]:
        self._reached("first-check")
        name, verdict, reason = body["check"], Verdict(body["verdict"]), body.get("reason", "")
        self._longest_s = max(self._longest_s, min(body["duration_us"], _LONGEST_US) / 1e6)
        if verdict is Verdict.INTACT and body["findings"]:
            return self.lost(f"it calls {name[:40]} intact and counts findings")
        if verdict is Verdict.INTACT and not body["items"]:
            verdict, reason = Verdict.UNVERIFIABLE, "nothing was compared"
        old = self.checks.get(name)
        if old is None and len(self.checks) >= MAX_CHECKS:
            return self.lost("it reports more checks than a monitor has")
        ever = worst([verdict, old.ever] if old else [verdict])
        assert ever is not None
        details = old.details if old else []
        self.checks[name] = CheckState(
            verdict, ever, body["scan"], body["items"], body["findings"], body["duration_us"], reason,
            details, body.get("notices", 0),
        )  # fmt: skip
        return []

    def _on_finding(self, body: dict[str, Any]) -> list[Event]:
        # Findings come before or after the record of their check: keep a place for both.
        name = body["check"]
        state = self.checks.get(name)
        if state is None:
            if len(self.checks) >= MAX_CHECKS:
                return self.lost("it reports more checks than a monitor has")
            state = CheckState(Verdict.TAMPERED, Verdict.TAMPERED, body["scan"], 0, 0, 0)
            self.checks[name] = state
        if state.details and state.details[-1]["scan"] != body["scan"]:
            state.details = []
        if len(state.details) < MAX_FINDINGS:
            state.details = [*state.details, body]
        if state.verdict is Verdict.INTACT:
            state.verdict = state.ever = Verdict.TAMPERED
        return []

    def _on_heartbeat(self, body: dict[str, Any]) -> list[Event]:
        scan = body["scan"]
        if scan < self.scans:
            return self.lost("its count of scans went backwards")
        if scan == self.scans:
            return []
        self.scans = scan
        self.waiting = None
        self._reached("first-scan")
        self.current = self._scan_verdict(Verdict(body["verdict"]))
        self._worst_scan = worst([self.current, *([self._worst_scan] if self._worst_scan else [])])
        return [ScanDone(scan, self.current)]

    def _scan_verdict(self, told: Verdict) -> Verdict:
        """The monitor's word about a scan, never better than what its checks say."""
        states = [state.verdict for state in self.checks.values()]
        if not states or self.missing:
            states.append(Verdict.UNVERIFIABLE)
        found = worst([told, *states])
        assert found is not None
        return found

    def _on_error(self, body: dict[str, Any]) -> list[Event]:
        self.errors = [*self.errors[-15:], body]
        return []

    def _on_bye(self, body: dict[str, Any]) -> list[Event]:
        self.bye = body
        return [Finished(body["reason"], self.verdict)]


def exit_of_runs(runs: Sequence[Collector]) -> Exit:
    """The exit status of several runs, one after the other: 3 if there was none, else that of the worst."""
    codes = {run.exit_code() for run in runs} or {Exit.UNVERIFIABLE}
    order = (Exit.MONITOR_LOST, Exit.TAMPERED, Exit.ENVIRONMENT, Exit.UNVERIFIABLE, Exit.INTACT)
    return next(code for code in order if code in codes)


_KNOWN = ("hello", "kernel", "check", "finding", "heartbeat", "memory", "waiting", "error", "bye")
