"""The dom0 side of a comparison: `python3 -m tinyvmi_build.bench.dom0_side PLAN` prints JSON Lines.

{"who", "round", "type": "cost", "scan", "check", "took_ns", "map_ns", "map_pages", "map_calls", …}
{"who", "round", "type": "timing", "hello", "kernel", "first-check", "first-scan"}   s from the start
{"who", "round", "type": "kernel" | "check", …}                        these records
{"who", "round", "type": "failed", "what"}
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.bench.plan import (
    DIGESTS,
    INCREMENTAL_CHECK,
    LIBVMI,
    LIMIT,
    MONITOR,
    STEADY,
    WAYS,
    Plan,
)
from tinyvmi_build.bench.quiet import QuietReporter
from tinyvmi_build.checks import registry
from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Event, Received
from tinyvmi_build.records.protocol import LineSplitter, Record, parse_line
from tinyvmi_build.script import run_script
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import store, xl
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.folder import read_manifest
from tinyvmi_build.xen.launch import Options, find_target, run_once
from tinyvmi_build.xen.privilege import set_target

_PERIOD_MS = 250  # so long that no process of dom0 still reads the records of the last scan
_NO_SCAN_MS = 600_000  # a period in which there are incremental checks only
_LIMIT_MIB = 64
_LIMIT_NAME = "tinyvmi-limit"
_RECORDS = ("cost", "kernel", "check")  # the types that are passed on
Body = Mapping[str, object]
Print = Callable[[Body], None]


class _MeasuredError(Exception):
    """Ends a run: everything that was wanted has been measured."""


class _Recorder(QuietReporter):
    """Passes on the records that measure something."""

    def __init__(self, pass_on: Print):
        self._pass_on = pass_on

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and event.record.type in _RECORDS:
                self._pass_on(event.record.body)


@dataclass
class _Kernel:
    """What the monitor has found: the kernel's physical address, and the pages of the checks of pages.

    The limit is measured over as many pages as these checks have.
    """

    text_pa: str = ""
    pages: dict[str, int] | None = None
    checks: tuple[str, ...] = tuple(check.name for check in registry.incremental())

    def note(self, body: Body) -> None:
        if body["type"] == "kernel":
            self.text_pa = str(body["text_pa"])
        if body["type"] == "check" and body["check"] in self.checks:
            items = body["items"]
            assert isinstance(items, int)
            self.pages = {**(self.pages or {}), str(body["check"]): items}

    def require(self) -> tuple[str, int]:
        """(physical address, pages); MissingEnvironmentError before the monitor has reported both."""
        if not self.text_pa or not self.pages:
            raise MissingEnvironmentError("the monitor has not reported where the kernel is")
        return self.text_pa, sum(self.pages.values())


class Bench:
    """Measures all who are compared, in turn: each round begins with another one."""

    def __init__(self, plan: Plan, line: Print):
        self._plan = plan
        self._line = line
        self._target = find_target(plan.target, xl.domains())
        self._manifests = {MONITOR: read_manifest(Path(plan.monitor))}
        self._dom0s = dict.fromkeys(WAYS, plan.dom0) if plan.dom0 else {}
        if plan.digest_monitor:
            self._manifests[MONITOR + DIGESTS] = read_manifest(Path(plan.digest_monitor))
        if plan.digest_dom0:
            self._dom0s |= {way + DIGESTS: plan.digest_dom0 for way in WAYS}
        self._kernel = _Kernel()

    def run(self) -> None:
        if self._plan.incremental_checks:
            self._take(1, [(MONITOR, self._incremental)])  # while the target runs
        if self._plan.pause:
            xl.xl("pause", str(self._target.domid))
        try:
            self._rounds()
        finally:
            if self._plan.pause:
                xl.unpause(self._target.domid)

    def _rounds(self) -> None:
        steps: list[tuple[str, Callable[[str, int], None]]] = [
            *((who, self._monitor) for who in self._manifests),
            *((who, self._dom0) for who in self._dom0s),
        ]
        self._take(0, [(MONITOR, self._monitor)])  # finds the kernel, and warms what is cold
        if self._plan.limit and self._manifests[MONITOR].privilege == "target":
            steps.append((LIMIT, self._limit))
        if self._plan.libvmi:
            steps.append((LIBVMI, self._libvmi))
        for number in range(1, self._plan.rounds + 1):
            at = number % len(steps)
            self._take(number, steps[at:] + steps[:at])

    def _take(self, number: int, steps: list[tuple[str, Callable[[str, int], None]]]) -> None:
        for who, step in steps:
            try:
                step(who, number)
            except TinyVMIError as error:
                self._line({"who": who, "round": number, "type": "failed", "what": error.message})

    def _recorder(self, who: str, number: int) -> _Recorder:
        def pass_on(body: Body) -> None:
            if who == MONITOR:
                self._kernel.note(body)
            self._line({"who": who, "round": number, **body})

        return _Recorder(pass_on)

    def _monitor(self, who: str, number: int) -> None:
        options = Options(
            target=str(self._target.domid),
            scans=self._plan.scans + STEADY,
            period_ms=_PERIOD_MS,
            timeout_s=timeout(120),
            costs=True,
        )
        recorder = self._recorder(who, number)
        collector = run_once(self._manifests[who], options, recorder, Progress(quiet=True), xl.domains())
        if collector.lost_reason or not collector.scans:
            reason = collector.lost_reason or collector.waiting or "it made no scan"
            raise MissingEnvironmentError(reason)
        self._line({"who": who, "round": number, "type": "timing", **collector.timings})

    def _incremental(self, who: str, number: int) -> None:
        """Measure what is done between two scans, of an idle target."""
        left = self._plan.incremental_checks

        def pass_on(body: Body) -> None:
            nonlocal left
            if body["type"] == "cost" and body.get("incremental"):
                self._line({"who": who, "round": number, **body})
                if body["check"] == INCREMENTAL_CHECK:
                    left -= 1
                if not left:
                    raise _MeasuredError

        target = str(self._target.domid)
        options = Options(target=target, period_ms=_NO_SCAN_MS, timeout_s=timeout(120), costs=True)
        recorder = _Recorder(pass_on)
        try:
            run_once(self._manifests[who], options, recorder, Progress(quiet=True), xl.domains())
        except _MeasuredError:
            return
        wanted = self._plan.incremental_checks
        raise MissingEnvironmentError(f"it made {wanted - left} incremental checks of {wanted}")

    def _dom0(self, who: str, number: int) -> None:
        argv = [self._dom0s[who], WAYS[who.removesuffix(DIGESTS)], "--costs", str(self._target.domid), "00"]
        argv += [str(self._plan.scans + STEADY), str(_PERIOD_MS)]
        collector = Collector("00")
        recorder = self._recorder(who, number)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        try:
            for line in process.stdout:
                recorder.events(collector.feed(line))
            error = process.stderr.read().decode(errors="replace").strip()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if not collector.scans:
            raise MissingEnvironmentError(error or collector.waiting or f"it ended with {status}")
        self._line({"who": who, "round": number, "type": "timing", **collector.timings})

    def _limit(self, who: str, number: int) -> None:
        text_pa, pages = self._kernel.require()
        config = Path(self._plan.limit).with_suffix(".cfg")
        config.write_text(
            f'name = "{_LIMIT_NAME}"\ntype = "pv"\nkernel = "{self._plan.limit}"\nmemory = {_LIMIT_MIB}\n'
            'vcpus = 1\non_crash = "destroy"\n'
        )
        xl.create_paused(config)
        domain = xl.find_domain(_LIMIT_NAME)
        if domain is None:
            raise MissingEnvironmentError("its domain vanished right after its creation")
        try:
            set_target(domain.domid, self._target.domid)
            values = {
                "scans": self._plan.limit_rounds,
                "frame": int(text_pa, 16) >> 12,
                "pages": pages,
                "target": self._target.domid,
            }
            root = f"/local/domain/{domain.domid}/data/tinyvmi"
            store.write({f"{root}/{name}": str(value) for name, value in values.items()})
            with Console(domain.domid) as console:
                xl.unpause(domain.domid)
                for body in _records(console, timeout(120)):
                    if body["type"] == "error":
                        raise MissingEnvironmentError(str(body["what"]))
                    self._line({"who": who, "round": number, **body})
        finally:
            xl.destroy(domain.domid)

    def _libvmi(self, who: str, number: int) -> None:
        text_pa, pages = self._kernel.require()
        argv = [self._plan.libvmi, self._target.name, text_pa, str(pages), str(self._plan.scans + 1)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout(300))
        if done.returncode:
            raise MissingEnvironmentError((done.stderr or done.stdout).strip()[-300:])
        for line in done.stdout.splitlines():
            what, scan, took_ns, read = line.rsplit(" ", 3)
            cost = {"type": "cost", "scan": int(scan), "check": what, "took_ns": int(took_ns)}
            mapped = {"map_ns": 0, "map_pages": int(read), "map_calls": int(read)}
            self._line({"who": who, "round": number, **cost, **mapped})


def _records(console: Console, seconds: float) -> Iterator[Body]:
    """The records on a console until it closes or its domain has ended."""
    lines = LineSplitter()
    deadline = time.monotonic() + seconds
    seen = False
    while time.monotonic() < deadline:
        chunk = console.read(0.5)
        pieces = lines.flush() if chunk is None else lines.feed(chunk)
        for piece in pieces:
            for item in parse_line(piece):
                if isinstance(item, Record):
                    seen = True
                    yield item.body
        if chunk is None or (not chunk and xl.find_domain(_LIMIT_NAME) is None):
            return
    raise MissingEnvironmentError("it did not end" if seen else "it printed nothing")


def main(argv: list[str]) -> int:
    def line(body: Body) -> None:
        print(json.dumps(body, separators=(",", ":")), flush=True)

    xl.require_dom0()
    Bench(Plan.parse(Path(argv[0]).read_text()), line).run()
    return 0


if __name__ == "__main__":
    run_script(main)
