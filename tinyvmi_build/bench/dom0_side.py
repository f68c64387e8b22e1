"""The dom0 side of a comparison: `python3 -m tinyvmi_build.bench.dom0_side PLAN` prints JSON Lines.

{"who", "round", "type": "cost", "scan", "check", "took_ns", "map_ns", "map_pages", "map_calls", …}
{"who", "round", "type": "timing", "hello", "kernel", "first-check", "first-scan"}   s from the start
{"who", "round", "type": "kernel" | "check", …}                        these records
{"who", "round", "type": "failed", "what"}
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tinyvmi_build.bench.plan import DIGESTS, LIBVMI, LIMIT, MONITOR, STEADY, WAYS, WHOLE_LOOK, Plan
from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector, Event, Received
from tinyvmi_build.records.protocol import LineSplitter, Record, parse_line
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import store, xl
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.folder import read_manifest
from tinyvmi_build.xen.launch import Options, find_target, run_once
from tinyvmi_build.xen.privilege import set_target

_PERIOD_MS = 250  # so long that nobody in dom0 still reads what the last scan said
_LOOKING_MS = 600_000  # between scans, so that there are only looks
_LIMIT_MIB = 64
_LIMIT_NAME = "tinyvmi-limit"
_KEPT = ("cost", "kernel", "check")
_LIMIT_OVER = ("text", "rodata")  # the checks whose pages, in number, the limit is measured over
Tell = Callable[[dict[str, Any]], None]


class _Enough(Exception):
    """All that was wanted has been told."""


class _Keep:
    """A reporter that passes on what is measured."""

    def __init__(self, tell: Tell):
        self._tell = tell

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and event.record.type in _KEPT:
                self._tell(event.record.body)

    def attached(self, attached: Attached) -> None:
        pass

    def status(self, status: Status) -> None:
        pass

    def detached(self, collector: Collector) -> None:
        pass


class Bench:
    """All that is compared, in turn: each round begins with another one."""

    def __init__(self, plan: Plan, tell: Tell):
        self._plan = plan
        self._tell = tell
        self._target = find_target(plan.target, xl.domains())
        self._manifests = {MONITOR: read_manifest(Path(plan.monitor))}
        self._dom0s = dict.fromkeys(WAYS, plan.dom0) if plan.dom0 else {}
        if plan.digest_monitor:
            self._manifests[MONITOR + DIGESTS] = read_manifest(Path(plan.digest_monitor))
        if plan.digest_dom0:
            self._dom0s |= {way + DIGESTS: plan.digest_dom0 for way in WAYS}
        self._kernel: dict[str, Any] | None = None  # where the monitor found it
        self._pages: dict[str, int] = {}  # of _LIMIT_OVER, as the monitor compares them

    def run(self) -> None:
        if self._plan.looks:
            self._take(1, [(MONITOR, self._looks)])  # while the target runs
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
        self._take(0, [(MONITOR, self._monitor)])  # where the kernel is; and what is cold is warm now
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
                self._tell({"who": who, "round": number, "type": "failed", "what": error.message})

    def _said(self, who: str, number: int) -> Tell:
        def said(body: dict[str, Any]) -> None:
            if body["type"] == "kernel" and who == MONITOR:
                self._kernel = body
            if body["type"] == "check" and body["check"] in _LIMIT_OVER and who == MONITOR:
                self._pages[body["check"]] = body["items"]
            self._tell({"who": who, "round": number, **body})

        return said

    def _monitor(self, who: str, number: int) -> None:
        options = Options(
            target=str(self._target.domid),
            scans=self._plan.scans + STEADY,
            period_ms=_PERIOD_MS,
            timeout_s=timeout(120),
            costs=True,
        )
        keep = _Keep(self._said(who, number))
        collector = run_once(self._manifests[who], options, keep, Progress(quiet=True), xl.domains())
        if collector.lost_reason or not collector.scans:
            reason = collector.lost_reason or collector.waiting or "it made no scan"
            raise MissingEnvironmentError(reason)
        self._tell({"who": who, "round": number, "type": "timing", **collector.timings})

    def _looks(self, who: str, number: int) -> None:
        """What is done between two scans of everything, of a target at rest."""
        left = self._plan.looks

        def said(body: dict[str, Any]) -> None:
            nonlocal left
            if body["type"] == "cost" and body.get("incremental"):
                self._tell({"who": who, "round": number, **body})
                if body["check"] == WHOLE_LOOK:
                    left -= 1
                if not left:
                    raise _Enough

        options = Options(
            target=str(self._target.domid), period_ms=_LOOKING_MS, timeout_s=timeout(120), costs=True
        )
        try:
            run_once(self._manifests[who], options, _Keep(said), Progress(quiet=True), xl.domains())
        except _Enough:
            return
        raise MissingEnvironmentError(f"it took {self._plan.looks - left} looks of {self._plan.looks}")

    def _dom0(self, who: str, number: int) -> None:
        argv = [self._dom0s[who], WAYS[who.removesuffix(DIGESTS)], "--costs", str(self._target.domid), "00"]
        argv += [str(self._plan.scans + STEADY), str(_PERIOD_MS)]
        collector = Collector("00")
        keep = _Keep(self._said(who, number))
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None and process.stderr is not None
        try:
            for line in process.stdout:
                keep.events(collector.feed(line))
            error = process.stderr.read().decode(errors="replace").strip()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if not collector.scans:
            raise MissingEnvironmentError(error or collector.waiting or f"it ended with {status}")
        self._tell({"who": who, "round": number, "type": "timing", **collector.timings})

    def _limit(self, who: str, number: int) -> None:
        if self._kernel is None or not self._pages:
            raise MissingEnvironmentError("the monitor has not said where the kernel is")
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
                "frame": int(self._kernel["text_pa"], 16) >> 12,
                "pages": sum(self._pages.values()),
                "target": self._target.domid,
            }
            root = f"/local/domain/{domain.domid}/data/tinyvmi"
            store.write({f"{root}/{name}": str(value) for name, value in values.items()})
            with Console(domain.domid) as console:
                xl.unpause(domain.domid)
                for body in _records(console, timeout(120)):
                    if body["type"] == "error":
                        raise MissingEnvironmentError(str(body["what"]))
                    self._tell({"who": who, "round": number, **body})
        finally:
            xl.destroy(domain.domid)

    def _libvmi(self, who: str, number: int) -> None:
        if self._kernel is None or not self._pages:
            raise MissingEnvironmentError("the monitor has not said where the kernel is")
        argv = [self._plan.libvmi, self._target.name, self._kernel["text_pa"], str(sum(self._pages.values()))]
        done = subprocess.run(
            [*argv, str(self._plan.scans + 1)],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout(300),
        )
        if done.returncode:
            raise MissingEnvironmentError((done.stderr or done.stdout).strip()[-300:])
        for line in done.stdout.splitlines():
            what, scan, took_ns, pages = line.rsplit(" ", 3)
            cost = {"type": "cost", "scan": int(scan), "check": what, "took_ns": int(took_ns)}
            more = {"map_ns": 0, "map_pages": int(pages), "map_calls": int(pages)}
            self._tell({"who": who, "round": number, **cost, **more})


def _records(console: Console, seconds: float) -> Iterator[dict[str, Any]]:
    """The records on a console until it closes or falls silent for two seconds after the last one."""
    lines = LineSplitter()
    deadline = time.monotonic() + seconds
    seen_at: float | None = None
    while time.monotonic() < deadline:
        chunk = console.read(0.5)
        pieces = lines.flush() if chunk is None else lines.feed(chunk)
        for piece in pieces:
            for item in parse_line(piece):
                if isinstance(item, Record):
                    seen_at = time.monotonic()
                    yield item.body
        if chunk is None or (not chunk and xl.find_domain(_LIMIT_NAME) is None):
            return
    raise MissingEnvironmentError("it did not end" if seen_at else "it said nothing")


def main(argv: list[str]) -> int:
    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line, separators=(",", ":")), flush=True)

    try:
        xl.require_dom0()
        Bench(Plan.parse(Path(argv[0]).read_text()), tell).run()
    except TinyVMIError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
