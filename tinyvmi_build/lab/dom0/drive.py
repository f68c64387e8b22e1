"""Runs in dom0: has the target write to its own kernel; times the writes and their findings on one clock.

    python3 -m tinyvmi_build.lab.dom0.drive DOMID TARGET-LOG MONITOR-LOG COUNT HOW ADDRESS BAD GOOD

COUNT times: the bytes BAD, then, once the monitor has reported a finding, GOOD.
One WriteReport a line, as JSON.  Each moment is that at which a line has arrived in the log that
xenconsoled keeps of a console; the target's line comes just before its write.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from tinyvmi_build.records.protocol import Body
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen.console import Console

_POLL_S = 0.002
_PAUSE_S = 0.3  # up to which two writes are apart by chance: some incremental checks
_POKED = re.compile(rb"poke \d+")


@dataclass(frozen=True)
class WriteReport:
    """One write, and how long it took until its finding, and from its undoing until the verdict."""

    reported_s: float
    intact_s: float
    finding: Body


class Log:
    """Lines of a file from its present end on."""

    def __init__(self, path: str):
        self._fd = os.open(path, os.O_RDONLY)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._pending = b""

    def lines(self) -> list[bytes]:
        *lines, self._pending = (self._pending + os.read(self._fd, 65536)).split(b"\n")
        return lines


def poked(line: bytes) -> bool:
    return _POKED.search(line) is not None


def record(line: bytes) -> Body:
    """What a line of the monitor says; {} if it is no record."""
    if not line.startswith(b"TVMI1 "):
        return {}
    said: Body = json.loads(line.split(b" ", 3)[3])
    return said


def finding(line: bytes) -> Body:
    said = record(line)
    return said if said.get("type") == "finding" else {}


def intact_verdict(line: bytes) -> bool:
    said = record(line)
    return said.get("type") == "heartbeat" and said.get("verdict") == "intact"


def wait(log: Log, wanted: Any, console: Console, what: str, seconds: float) -> tuple[float, Any]:
    """(moment, what `wanted` makes of it) of the first line for which that is something."""
    deadline = time.monotonic() + timeout(seconds)
    while time.monotonic() < deadline:
        for line in log.lines():
            found = wanted(line)
            if found:
                return time.monotonic(), found
        while console.read(0):
            pass
        time.sleep(_POLL_S)
    raise SystemExit(f"{what} did not come")


def main(argv: list[str]) -> None:
    domid, target_log, monitor_log, count, how, address, bad, good = argv
    target, monitor = Log(target_log), Log(monitor_log)
    with Console(int(domid)) as console:

        def write(data: str) -> float:
            console.write(f"run drive echo {how} {address} {data} > /proc/poke\n".encode())
            return wait(target, poked, console, "the target's line", 30)[0]

        for _ in range(int(count)):
            time.sleep(random.uniform(0, _PAUSE_S))
            monitor.lines()
            began = write(bad)
            try:
                reported, found = wait(monitor, finding, console, "a finding", 30)
            finally:  # whoever uses this target afterwards finds it as it was
                undone = write(good)
            intact, _ = wait(monitor, intact_verdict, console, "a verdict", 90)
            report = WriteReport(reported - began, intact - undone, found)
            print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
