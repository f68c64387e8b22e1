"""What a run's record stream amounts to: a state machine that trusts nothing it has not verified.

Feed it console lines; it answers with events and keeps the verdict.  A stream with a gap, a bad CRC,
a foreign nonce, silence, or an end without `bye` means that the monitor is lost: whatever it said
before, the run is never intact.  A run that was asked to end (`stopped`) needs no `bye`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tinyvmi_build.errors import Exit
from tinyvmi_build.records.events import Event, Finished, Lost, Received, ScanDone, Stopped
from tinyvmi_build.records.format import (
    Bye,
    CheckDone,
    Finding,
    Heartbeat,
    Hello,
    KernelFound,
    Memory,
    MonitorFault,
    Notice,
    RecordData,
    Waiting,
)
from tinyvmi_build.records.protocol import Body, Broken, Record, parse_line
from tinyvmi_build.records.verdict import Verdict, exit_of, worst

MAX_CHECKS = 64  # more names than any monitor has
MAX_FINDINGS = 16  # stored for each check and scan; the contract's own bound
MAX_ERRORS = 16  # the last ones are stored
_LONGEST_US = 600_000_000  # that one check is allowed to take
_TOO_MANY = "it reports more checks than a monitor has"


@dataclass
class CheckState:
    """The latest record of one check."""

    verdict: Verdict
    worst: Verdict  # in this run
    scan: int
    items: int = 0
    findings: int = 0
    duration_us: int = 0
    reason: str = ""
    details: list[Finding] = field(default_factory=list)  # findings of the latest scan with any
    notices: int = 0  # what the configuration allows, of the latest scan


@dataclass(frozen=True)
class Expected:
    """What a run has to be like; None is not checked."""

    image: str | None = None
    target: int | None = None
    checks: Iterable[str] = ()  # names that must report
    start_s: float | None = None  # until the first record
    silence_s: float | None = None  # between two; three times the longest check so far is added
    bye_due: bool = True  # False for a recording that may be cut off


class Collector:
    """One run.  `nonce`: what `hello` must carry, None if any will do."""

    def __init__(
        self,
        nonce: str | None = None,
        expected: Expected | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._nonce = nonce
        self._expected = expected or Expected()
        self._required = tuple(self._expected.checks)
        self.live = self._expected.start_s is not None  # listened to as it runs
        self._clock = clock
        self._started_at = self._heard_at = clock()
        self._longest_s = 0.0  # check so far: within one a monitor cannot send a record
        self._next_seq = 0
        self.hello: Hello | None = None
        self.kernel: Body | None = None  # the `kernel` record
        self.checks: dict[str, CheckState] = {}
        self.errors: list[MonitorFault] = []
        self.waiting: str | None = None  # why nothing can be checked yet
        self.bye: Bye | None = None
        self.scans = 0
        self.current: Verdict | None = None  # of the last scan
        self.lost_reason: str | None = None
        self.stop_reason: str | None = None  # who asked the run to end
        self.timings: dict[str, float] = {}  # s from the start to hello, kernel, first-check, first-scan
        self._worst_scan: Verdict | None = None
        self.digested: int | None = None  # pages without a copy, for want of memory

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
        """Read the clock: `Lost` if the monitor has been silent for too long."""
        left = self.remaining()
        if left is None or left > 0:
            return []
        if self.hello is None:
            return self.lost(f"it said nothing for {self._expected.start_s:g} s after its start")
        return self.lost(f"it has been silent for {self._limit():.3g} s")

    def remaining(self) -> float | None:
        """Seconds until silence is too long (0 or less: now); None while nothing is awaited."""
        limit = self._limit()
        if limit is None or self.over:
            return None
        return self._heard_at + limit - self._clock()

    def _limit(self) -> float | None:
        if self.hello is None:
            return self._expected.start_s
        silence_s = self._expected.silence_s
        return None if silence_s is None else silence_s + 3 * self._longest_s

    def _reached(self, stage: str) -> None:
        self.timings.setdefault(stage, round(self._clock() - self._started_at, 3))

    def end(self) -> list[Event]:
        """The stream is over: `Lost` unless the monitor has sent `bye` (or none was due)."""
        if self.over or (self.hello is not None and not self._expected.bye_due):
            return []
        return self.lost("its console ended without a bye" if self.hello else "it never said hello")

    def lost(self, reason: str) -> list[Event]:
        """Note that the monitor is lost; the first reason stays."""
        if self.lost_reason is not None:
            return []
        self.lost_reason = reason
        return [Lost(reason)]

    def stopped(self, reason: str) -> list[Event]:
        """Note that somebody asked the run to end, for that `reason`: from now on no `bye` is due."""
        if self.over:
            return []
        self.stop_reason = reason
        return [Stopped(reason)]

    # What comes out

    @property
    def over(self) -> bool:
        """Nothing is awaited any more."""
        return self.bye is not None or self.lost_reason is not None or self.stop_reason is not None

    @property
    def verdict(self) -> Verdict | None:
        """Of the whole run; None if nothing was checked.  Never INTACT for a lost or incomplete run."""
        found = [state.worst for state in self.checks.values()]
        if not found and self.bye is None:
            return None
        if self._worst_scan is not None:
            found.append(self._worst_scan)
        if self.bye is not None:
            found.append(self.bye.verdict)
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
        if self.stop_reason is not None and self.verdict is None:
            return Exit.INTERRUPTED
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
        self._heard_at = self._clock()
        problem = self._order_error(record)
        if problem:
            return [Received(record), Broken(problem), *self.lost(problem)]
        return [Received(record), *self._take(record.data, record.body)]

    def _order_error(self, record: Record) -> str | None:
        if self.hello is None and record.type != "hello":
            return f"its first record is '{record.type[:40]}', not 'hello'"
        if self.hello is not None and record.type == "hello":
            return "it said hello twice"
        if self.bye is not None:
            return "it went on after its bye"
        return None

    def _take(self, data: RecordData | None, body: Body) -> list[Event]:
        match data:
            case Hello():
                return self._on_hello(data)
            case KernelFound():
                self.kernel = body
                self._reached("kernel")
            case Memory():
                self.digested = data.digested
            case Waiting():
                self._on_waiting(data)
            case CheckDone():
                return self._on_check(data)
            case Notice():
                pass
            case Finding():
                return self._on_finding(data)
            case Heartbeat():
                return self._on_heartbeat(data)
            case MonitorFault():
                self.errors = [*self.errors[1 - MAX_ERRORS :], data]
            case Bye():
                self.bye = data
                return [Finished(data.reason, self.verdict)]
        return []

    def _on_hello(self, hello: Hello) -> list[Event]:
        self.hello = hello
        self._reached("hello")
        for what, wanted, found in (
            ("the nonce of another run", self._nonce, hello.nonce),
            ("another image", self._expected.image, hello.image),
            ("another target", self._expected.target, hello.target),
        ):
            if wanted is not None and found != wanted:
                return self.lost(f"its hello carries {what} ({found}, not {wanted})")
        return []

    def _on_waiting(self, waiting: Waiting) -> None:
        self.waiting = waiting.reason
        if waiting.banner:
            self.waiting += f"; its memory says: {waiting.banner}"
        if self.scans:  # it was watched, and is not now
            self._scanned(Verdict.UNVERIFIABLE)

    def _on_check(self, check: CheckDone) -> list[Event]:
        self._reached("first-check")
        name, verdict, reason = check.check, check.verdict, check.reason
        self._longest_s = max(self._longest_s, min(check.duration_us, _LONGEST_US) / 1e6)
        if verdict is Verdict.INTACT and check.findings:
            return self.lost(f"it calls {name[:40]} intact and counts findings")
        if verdict is Verdict.INTACT and not check.items:
            verdict, reason = Verdict.UNVERIFIABLE, "nothing was compared"
        old = self.checks.get(name)
        if old is None and len(self.checks) >= MAX_CHECKS:
            return self.lost(_TOO_MANY)
        self.checks[name] = CheckState(
            verdict=verdict,
            worst=_worse(verdict, old.worst if old else None),
            scan=check.scan,
            items=check.items,
            findings=check.findings,
            duration_us=check.duration_us,
            reason=reason,
            details=old.details if old else [],
            notices=check.notices,
        )
        return []

    def _on_finding(self, finding: Finding) -> list[Event]:
        # Findings come before or after the record of their check: make an entry for either.
        state = self.checks.get(finding.check)
        if state is None:
            if len(self.checks) >= MAX_CHECKS:
                return self.lost(_TOO_MANY)
            state = CheckState(Verdict.TAMPERED, Verdict.TAMPERED, finding.scan)
            self.checks[finding.check] = state
        if state.details and state.details[-1].scan != finding.scan:
            state.details = []
        if len(state.details) < MAX_FINDINGS:
            state.details = [*state.details, finding]
        if state.verdict is Verdict.INTACT:
            state.verdict = state.worst = Verdict.TAMPERED
        return []

    def _on_heartbeat(self, heartbeat: Heartbeat) -> list[Event]:
        if heartbeat.scan < self.scans:
            return self.lost("its count of scans went backwards")
        if heartbeat.scan == self.scans:
            return []
        self.scans = heartbeat.scan
        self.waiting = None
        self._reached("first-scan")
        verdict = self._scan_verdict(heartbeat.verdict)
        self._scanned(verdict)
        return [ScanDone(self.scans, verdict)]

    def _scanned(self, verdict: Verdict) -> None:
        self.current = verdict
        self._worst_scan = _worse(verdict, self._worst_scan)

    def _scan_verdict(self, reported: Verdict) -> Verdict:
        """The monitor's verdict of a scan, never better than those of its checks."""
        found = reported if self.checks and not self.missing else _worse(reported, Verdict.UNVERIFIABLE)
        for state in self.checks.values():
            found = _worse(found, state.verdict)
        return found


def _worse(one: Verdict, other: Verdict | None) -> Verdict:
    return worst([one, *([other] if other else [])]) or one


def exit_of_runs(runs: Sequence[Collector]) -> Exit:
    """The exit status of several runs, one after the other: 3 if there was none, else that of the worst."""
    codes = {run.exit_code() for run in runs} or {Exit.UNVERIFIABLE}
    order = (
        Exit.MONITOR_LOST, Exit.TAMPERED, Exit.ENVIRONMENT, Exit.UNVERIFIABLE, Exit.INTACT, Exit.INTERRUPTED,
    )  # fmt: skip
    return next(code for code in order if code in codes)
