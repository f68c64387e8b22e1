"""A monitor in the lab: `tinyvmi-build launch --json` running in dom0, its events as they come."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tinyvmi_build.checks.lib.walk import physical
from tinyvmi_build.errors import Exit, MissingEnvironmentError, MonitorLostError
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.records.events import (
    Event,
    Finished,
    Lost,
    Received,
    ScanDone,
    Stopped,
    Worst,
    WorstTimes,
)
from tinyvmi_build.records.protocol import Body, Broken, Record, Text
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.reporter import Reporter
from tinyvmi_build.timeouts import VARIABLE, scale, timeout

if TYPE_CHECKING:
    from tinyvmi_build.lab.session import Lab

_HEARTBEAT = re.compile(r'"type":"heartbeat","scan":(\d+)')
FILES = "/lab/monitor"  # the build folder, in dom0
# A scan under way when memory changes may have passed the place, and the end of the one before it may still
# be in the console ring: the third scan from the last that dom0 has heard of has surely seen the change.
_SCANS_TO_SEE = 3
_PAGE = 4096
T = TypeVar("T")


class Monitor:
    """Launches the monitor in `folder` (in dom0) for `target`.  Every event goes to `reporter` too."""

    def __init__(
        self,
        lab: Lab,
        target: Target,
        reporter: Reporter,
        *,
        folder: str = FILES,
        period: str = "500ms",
        domain: str = "tinyvmi-lab",
    ):
        self._reporter = reporter
        self.hello: Body | None = None  # the hello record
        self.kernel: Body | None = None  # the kernel record
        self.tracking: Body | None = None  # whether it learns what the target writes
        self.memory: Body | None = None  # what it lacks memory for
        self.worst: WorstTimes | None = None  # the longest time until it reports a change
        self.verdict: Verdict | None = None  # of the last scan, or of an incremental check that changed it
        self.scans = 0
        self.findings: list[Body] = []  # since begin()
        self.status: int | None = None  # launch's exit status, once it has ended
        launch = ["tinyvmi-build", "launch", folder, "--target", target.name, "--period", period, "--json"]
        self._lab = lab
        self._log = f"/var/log/xen/console/guest-{domain}.log"
        lab.run(["rm", "-f", self._log])  # an earlier monitor's scans are not this one's
        self._remote = lab.spawn(["env", f"{VARIABLE}={scale():.2f}", *launch])
        self._errors: list[str] = []

    def until(self, condition: Callable[[Event], T | None], seconds: float, what: str) -> T:
        """Follow the monitor until `condition` gives something for an event, else MonitorLostError."""
        deadline = time.monotonic() + timeout(seconds)
        while True:
            found = None
            for event in self._next(deadline, what):
                self._note(event)
                self._reporter.events([event])
                if isinstance(event, Lost):
                    raise MonitorLostError(event.reason)
                found = found or condition(event)
            if found is not None:
                return found

    def wait_kernel(self, seconds: float = 90) -> Body:
        """Its `kernel` record: what it found, where."""
        return self.kernel or self.until(lambda event: self.kernel, seconds, "its kernel record")

    def begin(self) -> None:
        """What is reported from now on belongs to the change that comes now."""
        self._drain()
        self.findings = []

    def expect(self, verdict: Verdict, by: str | None = None, seconds: float = 90) -> tuple[Verdict, int]:
        """(verdict, scans it took) of the first scan that says `verdict`, else of the first that should.

        With `by`, that check has to have reported a finding since begin(), too.
        """
        start = self._scans_heard_of()

        def condition(event: Event) -> tuple[Verdict, int] | None:
            if isinstance(event, ScanDone):
                took = event.scan - start
                reported = by is None or any(finding["check"] == by for finding in self.findings)
                if (event.verdict is verdict and reported) or took >= _SCANS_TO_SEE:
                    return event.verdict, max(took, 0)  # an event may come after its scan was heard of
            return None

        return self.until(condition, seconds, f"a scan that says {verdict}")

    def steady(self, verdict: Verdict, scans: int = _SCANS_TO_SEE) -> tuple[Verdict, int]:
        """(verdict, scans seen) after `scans` scans that all say `verdict`, or of the first that does not."""
        start = self._scans_heard_of()

        def condition(event: Event) -> tuple[Verdict, int] | None:
            if isinstance(event, ScanDone):
                took = event.scan - start
                if event.verdict is not verdict or took >= scans:
                    return event.verdict, took
            return None

        return self.until(condition, 60 + 3 * scans, f"{scans} scans that say {verdict}")

    def listen(self, seconds: float) -> None:
        """Take in what it says for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._drain()
            time.sleep(0.1)

    def stop(self) -> None:
        """Interrupt launch, which destroys the monitor's domain; MissingEnvironmentError if it goes on."""
        self._remote.kill(signal.SIGINT)
        try:
            self._remote.wait(60)
        except TimeoutError as error:
            raise MissingEnvironmentError(f"launch does not end when it is interrupted: {error}") from None

    def _drain(self) -> None:
        """Take in the events that have arrived."""
        deadline = time.monotonic()
        while not self._remote.inbox.empty():
            for event in self._next(deadline + 1, "an event"):
                self._note(event)
                self._reporter.events([event])

    def _scans_heard_of(self) -> int:
        """Scans whose end has reached dom0, whether or not launch and the agent have passed it on."""
        tail = self._lab.run(["tail", "-c", "4096", self._log]).out
        heard = [int(number) for number in _HEARTBEAT.findall(tail)]
        self._drain()
        return max([self.scans, *heard[-1:]])

    def _next(self, deadline: float, what: str) -> list[Event]:
        left = deadline - time.monotonic()
        try:
            kind, line = self._remote.next(max(0.0, left))
        except TimeoutError:
            raise MonitorLostError(f"{what} did not come in time") from None
        if kind == "exit":
            self.status = int(line)
            said = "; ".join(self._errors[-3:])
            if self.status in (Exit.USAGE, Exit.ENVIRONMENT):
                raise MissingEnvironmentError(f"launch could not start the monitor: {said}")
            raise MonitorLostError(
                f"launch ended with {line}{': ' + said if said else ''} while {what} was due"
            )
        if kind == "err":
            self._errors.append(line)
            return []
        return event_of(line)

    def _note(self, event: Event) -> None:
        if isinstance(event, ScanDone):
            self.scans, self.verdict = event.scan, event.verdict
        elif isinstance(event, WorstTimes):
            self.worst = event
        elif isinstance(event, Received):
            body = event.record.body
            if body["type"] == "hello":
                self.hello = body
            elif body["type"] == "kernel":
                self.kernel = body
            elif body["type"] == "tracking":
                self.tracking = body
            elif body["type"] == "memory":
                self.memory = body
            elif body["type"] == "finding":
                self.findings.append(body)


def event_of(line: str) -> list[Event]:
    """The event that a line of `launch --json` tells; none for the closing `result`."""
    try:
        reported = json.loads(line)
        kind = reported["event"]
    except (ValueError, KeyError, TypeError):
        return [Text(line)]
    if kind == "record":
        return [Received(Record(reported["seq"], reported["record"]))]
    if kind == "text":
        return [Text(reported["text"])]
    if kind == "broken":
        return [Broken(reported["reason"], reported["line"])]
    if kind == "scan":
        return [ScanDone(reported["scan"], Verdict(reported["verdict"]))]
    if kind == "worst-times":
        return [WorstTimes(reported["scan_s"], tuple(Worst(**row) for row in reported["rows"]))]
    if kind == "lost":
        return [Lost(reported["reason"])]
    if kind == "stopped":
        return [Stopped(reported["reason"])]
    if kind == "finished":
        return [Finished(reported["reason"], Verdict(reported["verdict"]) if reported["verdict"] else None)]
    return []


class LiveGuest:
    """A target's kernel memory by link address (checks.Guest), where a monitor found it."""

    def __init__(self, target: Target, kernel: Body, profiles: ProfileFile):
        self.profile: KernelProfile = profiles.by_build_id(kernel["build_id"])
        self.delta = int(kernel["delta"], 16)
        self._target = target
        self._text_pa = int(kernel["text_pa"], 16)
        self._root_pa = int(kernel["root_pa"], 16)
        self._levels = int(kernel["levels"])
        self._pv = bool(kernel.get("pv"))  # its frames lie here and there: only page tables tell

    def read(self, link_va: int, size: int) -> bytes:
        return b"".join(self._target.read(at, n) for at, n in self._pieces(link_va, size))

    def write(self, link_va: int, data: bytes) -> None:
        done = 0
        for at, n in self._pieces(link_va, len(data)):
            self._target.write(at, data[done : done + n])
            done += n

    def _pieces(self, link_va: int, size: int) -> list[tuple[int, int]]:
        """(address to map, bytes) of what is contiguous there."""
        if not self._pv:
            return [(self._physical(link_va), size)]
        pieces = []
        while size:
            count = min(size, _PAGE - link_va % _PAGE)
            pieces.append((self._physical(link_va), count))
            link_va, size = link_va + count, size - count
        return pieces

    def register(self, vcpu: int, name: str, value: int | None = None) -> int:
        """As `Target.register`."""
        return self._target.register(vcpu, name, value)

    def _physical(self, link_va: int) -> int:
        """The image is contiguous in physical memory, from _text on; elsewhere its page tables tell."""
        offset = link_va - self.profile.text_va
        if 0 <= offset < self.profile.image_size and not self._pv:
            return self._text_pa + offset
        running = link_va + self.delta & (1 << 64) - 1
        return physical(self._target.read, self._root_pa, running, self._levels)
