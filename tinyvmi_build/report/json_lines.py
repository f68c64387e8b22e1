"""A run for a program: one JSON object a line.  event_format.py describes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TextIO

from tinyvmi_build import json_output
from tinyvmi_build.errors import Exit
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records.collector import CheckState, Collector, exit_of_runs
from tinyvmi_build.records.events import (
    Event,
    Finished,
    Lost,
    Received,
    ScanDone,
    Stopped,
    WorstTimes,
)
from tinyvmi_build.records.protocol import Broken, Text
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.report.stamp import Stamp


class JsonLines:
    """Each object says when, on which host and about which target."""

    def __init__(self, stream: TextIO, explain: Explainer | None = None, *, stamp: Stamp | None = None):
        self._stream = stream
        self._stamp = stamp or Stamp()
        self._explain = explain or Explainer(None)
        self._worst_times: WorstTimes | None = None  # of this run

    def write(self, event: str, /, **fields: object) -> None:
        """One object of the kind `event`."""
        value = {"event": event, **self._stamp.fields(), **fields}
        self._stream.write(json_output.line("event", value) + "\n")
        self._stream.flush()

    def events(self, events: Iterable[Event]) -> None:
        """Write each of `events`."""
        for event in events:
            match event:
                case Text():
                    self.write("text", text=event.text)
                case Broken():
                    self.write("broken", reason=event.reason, line=event.line)
                case Received():
                    self._record(event)
                case ScanDone():
                    self.write("scan", scan=event.scan, verdict=event.verdict)
                case WorstTimes():
                    self._worst_times = event
                    self.write("worst-times", **asdict(event))
                case Lost():
                    self.write("lost", reason=event.reason)
                case Stopped():
                    self.write("stopped", reason=event.reason)
                case Finished():
                    self.write("finished", reason=event.reason, verdict=event.verdict)

    def attached(self, attached: Attached) -> None:
        """The `attached` object; what follows is about that target."""
        self._stamp.target = attached.target
        self.write("attached", target_domain=attached.target_domain, monitor_domain=attached.monitor_domain)

    def status(self, status: Status) -> None:
        """The `status` object."""
        self.write("status", verdict=status.verdict, seconds=status.seconds, scans=status.scans)

    def detached(self, collector: Collector) -> None:
        """The `run` object: as `result`, for a run that another one follows."""
        self.write("run", exit=int(collector.exit_code()), **self._summary(collector))
        self._worst_times = None

    def close(self, collector: Collector, earlier: Sequence[Collector] = ()) -> None:
        """The `result` object: of the last run, but for the exit status."""
        runs = [*earlier, collector]
        self.write("result", exit=int(exit_of_runs(runs)), **self._summary(collector), runs=len(runs))

    def _record(self, event: Received) -> None:
        body = event.record.body
        self._explain.see(body)
        extra: dict[str, object] = {}
        if event.record.type in ("finding", "notice"):
            known = {name: value for name, value in vars(self._explain.finding(body)).items() if value}
            if known:
                extra["explained"] = known
        self.write("record", seq=event.record.seq, record=body, **extra)

    def _summary(self, collector: Collector) -> dict[str, object]:
        lost = collector.exit_code() is Exit.MONITOR_LOST
        return {
            "outcome": "lost" if lost else (collector.verdict or "nothing-checked"),
            "verdict": collector.verdict,
            "lost": collector.lost_reason,
            "stopped": collector.stop_reason,
            "scans": collector.scans,
            "bye": collector.bye.reason if collector.bye else None,
            "waiting": collector.waiting,
            "missing": list(collector.missing),
            "timings": collector.timings if collector.live else {},
            **({"worst_times": asdict(self._worst_times)} if self._worst_times else {}),
            **({"digested": collector.digested} if collector.digested else {}),
            "checks": {name: _check(state) for name, state in collector.checks.items()},
        }


def _check(state: CheckState) -> dict[str, object]:
    return {
        "verdict": state.verdict,
        "worst": state.worst,
        "items": state.items,
        "findings": state.findings,
        "notices": state.notices,
        "duration_us": state.duration_us,
        **({"reason": state.reason} if state.reason else {}),
    }
