"""From tamper to record: `python3 -m tinyvmi_build.bench.latency JSON`, in dom0.

JSON: {"monitor", "target", "period_ms", "times", "check", "patches": [[physical address, hex bytes], …]}.
The monitor runs; at a random moment the patches are written, the clock starts; it stops when launch has the
finding's record in hand; the old bytes are put back.  Prints one line {"ms": …} a tamper.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinyvmi_build.errors import TinyVMIError
from tinyvmi_build.lab.memory import GuestMemory
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector, Event, Received, ScanDone
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.folder import read_manifest
from tinyvmi_build.xen.launch import Options, find_target, run_once


class _Enough(Exception):
    pass


class _Tamperer:
    """A reporter that tampers when all is intact and stops the clock when that is found."""

    def __init__(self, wish: dict[str, Any], memory: GuestMemory):
        self._wish = wish
        self._memory = memory
        self._old: list[tuple[int, bytes]] = []
        self._written_at: float | None = None
        self._timer: threading.Timer | None = None
        self._left = int(wish["times"])

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and event.record.type == "finding":
                self._found(event.record.body)
            elif isinstance(event, ScanDone) and event.verdict is Verdict.INTACT and self._timer is None:
                if not self._left:
                    raise _Enough
                self._timer = threading.Timer(random.uniform(0, self._wish["period_ms"] / 1000), self._write)
                self._timer.start()

    def attached(self, attached: Attached) -> None:
        pass

    def status(self, status: Status) -> None:
        pass

    def detached(self, collector: Collector) -> None:
        pass

    def _write(self) -> None:
        patches = [(int(at), bytes.fromhex(data)) for at, data in self._wish["patches"]]
        for at, data in patches:
            self._old.append((at, self._memory.write(at, data)))
        self._written_at = time.monotonic()

    def _found(self, body: dict[str, Any]) -> None:
        if self._written_at is None or body["check"] != self._wish["check"]:
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
    wish = json.loads(argv[0])
    try:
        running = xl.domains()
        target = find_target(wish["target"], running)
        seconds = timeout(60 + wish["times"] * (10 + 6 * wish["period_ms"] / 1000))
        options = Options(target=str(target.domid), period_ms=wish["period_ms"], timeout_s=seconds)
        with GuestMemory(target.domid) as memory:
            tamperer = _Tamperer(wish, memory)
            try:
                run_once(
                    read_manifest(Path(wish["monitor"])), options, tamperer, Progress(quiet=True), running
                )
            except _Enough:
                return 0
            finally:
                tamperer.restore()
    except TinyVMIError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit
    print("error: the monitor ended before all was measured", file=sys.stderr)
    return 6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
