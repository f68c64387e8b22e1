"""From tamper to record: `python3 -m tinyvmi_build.bench.dom0_latency JSON`, in dom0.

JSON: a TamperPlan.  The monitor runs; at a random moment the patches are written, the clock starts; it stops
when launch has the finding's record in hand; the old bytes are put back.  Prints one line {"ms": …} a tamper.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tinyvmi_build.bench.quiet import QuietReporter
from tinyvmi_build.errors import MonitorLostError
from tinyvmi_build.lab.memory import GuestMemory
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.events import Event, Received, ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.script import run_script
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.folder import read_manifest
from tinyvmi_build.xen.launch import Options, find_target, run_once


@dataclass(frozen=True)
class TamperPlan:
    """What is tampered with, and by whom it is to be found."""

    monitor: str  # its build folder in dom0
    target: str
    period_ms: int  # between scans
    times: int
    check: str
    patches: list[tuple[int, str]]  # physical address, hex bytes

    def text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> TamperPlan:
        value = json.loads(text)
        return TamperPlan(**{**value, "patches": [(int(at), str(data)) for at, data in value["patches"]]})


class _MeasuredError(Exception):
    """Ends a run: every tamper has been measured."""


class _Tamperer(QuietReporter):
    """A reporter that tampers when all is intact and stops the clock when that is found."""

    def __init__(self, plan: TamperPlan, memory: GuestMemory):
        self._plan = plan
        self._memory = memory
        self._old: list[tuple[int, bytes]] = []
        self._written_at: float | None = None
        self._timer: threading.Timer | None = None
        self._left = plan.times

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and event.record.type == "finding":
                self._found(event.record.body)
            elif isinstance(event, ScanDone) and event.verdict is Verdict.INTACT and self._timer is None:
                if not self._left:
                    raise _MeasuredError
                self._timer = threading.Timer(random.uniform(0, self._plan.period_ms / 1000), self._write)
                self._timer.start()

    def _write(self) -> None:
        for at, data in self._plan.patches:
            self._old.append((at, self._memory.write(at, bytes.fromhex(data))))
        self._written_at = time.monotonic()

    def _found(self, finding: Mapping[str, object]) -> None:
        if self._written_at is None or finding["check"] != self._plan.check:
            return
        print(json.dumps({"ms": (time.monotonic() - self._written_at) * 1000}), flush=True)
        self.restore()
        self._left -= 1

    def restore(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        for at, data in reversed(self._old):
            self._memory.write(at, data)
        self._old, self._written_at, self._timer = [], None, None


def main(argv: list[str]) -> int:
    plan = TamperPlan.parse(argv[0])
    running = xl.domains()
    target = find_target(plan.target, running)
    seconds = timeout(60 + plan.times * (10 + 6 * plan.period_ms / 1000))
    options = Options(target=str(target.domid), period_ms=plan.period_ms, timeout_s=seconds)
    with GuestMemory(target.domid) as memory:
        tamperer = _Tamperer(plan, memory)
        try:
            manifest = read_manifest(Path(plan.monitor))
            run_once(manifest, options, tamperer, Progress(quiet=True), running)
        except _MeasuredError:
            return 0
        finally:
            tamperer.restore()
    raise MonitorLostError("the monitor ended before all was measured")


if __name__ == "__main__":
    run_script(main)
