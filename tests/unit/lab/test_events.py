"""What `launch --json` prints is understood again by the lab, which adds events of its own."""

from __future__ import annotations

import io

from tests.support.events import valid_events
from tests.unit.records import stream
from tinyvmi_build.errors import Exit
from tinyvmi_build.lab.monitor import event_of
from tinyvmi_build.lab.runner import LabReporter
from tinyvmi_build.lab.scenario import Step, exit_status, scenarios
from tinyvmi_build.profile.profile import ProfileFile
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


def test_the_labs_own_events_are_described() -> None:
    """As `lab run --json` writes them, between those of the monitor."""
    out = io.StringIO()
    reporter = LabReporter(out, True, ProfileFile([]))
    reporter.scenario(scenarios()["tampers"])
    reporter.step("begin", "not for a program")
    reporter.events(Collector().feed(stream.lines(stream.hello())[0]))
    reporter.close({"tampers": [step(True)]}, Exit.INTACT)
    found = valid_events(out.getvalue())
    assert [one["event"] for one in found] == ["scenario", "record", "lab"]
    assert {one["target"] for one in found} == {"target"}
    assert found[-1]["scenarios"]["tampers"][0]["ok"] is True


def step(ok: bool, code: Exit = Exit.INTERNAL) -> Step:
    return Step("title", "intact", "intact", ok, exit=code)


def test_exit_status_is_that_of_the_worst_step() -> None:
    assert exit_status([]) == Exit.UNVERIFIABLE
    assert exit_status([step(True), step(True, Exit.TAMPERED)]) == Exit.INTACT
    assert exit_status([step(False, Exit.UNVERIFIABLE), step(True)]) == Exit.UNVERIFIABLE
    assert exit_status([step(False, Exit.TAMPERED), step(False, Exit.INTERNAL)]) == Exit.TAMPERED
    assert exit_status([step(False, Exit.TAMPERED), step(False, Exit.MONITOR_LOST)]) == Exit.MONITOR_LOST
