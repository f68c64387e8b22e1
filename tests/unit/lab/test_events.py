"""What `launch --json` prints is understood again by the lab."""

from __future__ import annotations

import io

from tests.unit.records import stream
from tinyvmi_build.errors import Exit
from tinyvmi_build.lab.monitor import event_of
from tinyvmi_build.lab.scenario import Step, exit_status
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Event, Stopped
from tinyvmi_build.report.json_lines import JsonLines


def test_events_survive_json() -> None:
    tampered = (
        stream.finding("idt", scan=1),
        stream.check("idt", "tampered", scan=1),
        stream.beat(3, "tampered"),
    )
    lines = ["chatter \x1b", *stream.lines(*stream.CLEAN[:-1], *tampered, stream.bye(3)), "TVMI1 broken"]
    out = io.StringIO()
    collector, reporter = Collector(), JsonLines(out)
    fed: list[Event] = []
    for line in lines:
        events = collector.feed(line)
        fed += events
        reporter.events(events)
    fed.append(Stopped("SIGTERM"))
    reporter.events(fed[-1:])
    reporter.close(collector)
    assert len(fed) > len(lines)
    assert [event for line in out.getvalue().splitlines() for event in event_of(line)] == fed


def step(ok: bool, code: Exit = Exit.INTERNAL) -> Step:
    return Step("title", "intact", "intact", ok, exit=code)


def test_exit_status_is_that_of_the_worst_step() -> None:
    assert exit_status([]) == Exit.UNVERIFIABLE
    assert exit_status([step(True), step(True, Exit.TAMPERED)]) == Exit.INTACT
    assert exit_status([step(False, Exit.UNVERIFIABLE), step(True)]) == Exit.UNVERIFIABLE
    assert exit_status([step(False, Exit.TAMPERED), step(False, Exit.INTERNAL)]) == Exit.TAMPERED
    assert exit_status([step(False, Exit.TAMPERED), step(False, Exit.MONITOR_LOST)]) == Exit.MONITOR_LOST
