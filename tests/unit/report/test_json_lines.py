"""What a program reads of a run, held against the description of the events."""

import io
from datetime import UTC, datetime

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import VALIDATOR, valid_events
from tests.support.generated import hold_equal
from tests.unit.records.stream import CLEAN, bye, finding, hello, lines
from tests.unit.report.reporting import SCANNED, SCHEDULE, Profiles, allowed, reported, tampered
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records import fields
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report import event_format, event_reference
from tinyvmi_build.report.json_lines import JsonLines
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.report.stamp import Stamp

KNOWN = {
    described.event: {field.name for field in fields.fields_of(described)}
    for described in event_format.EVENTS
}
COMMON = {field.name for field in fields.fields_of(event_format.Common)}


def valid(text):
    """The objects on these lines, each as its description says and without a field that it lacks."""
    found = valid_events(text)
    for one in found:
        assert one.keys() <= COMMON | KNOWN[one["event"]], one
    return found


def objects(stream_lines, **options):
    return valid(reported(lambda stream: JsonLines(stream, Explainer(Profiles())), stream_lines, **options))


def test_the_files_are_what_the_description_gives(pytestconfig):
    jsonschema.Draft202012Validator.check_schema(event_reference.schema())
    hold_equal(pytestconfig, "tinyvmi_build/report/events.schema.json", event_reference.schema_text())
    hold_equal(pytestconfig, "docs/reference/events.md", event_reference.page())


def test_a_program_reads_one_object_a_line():
    out = objects(["hi\x1b", *tampered()])
    assert {(o["schema"], o["version"]) for o in out} == {("tinyvmi.event", 1)}
    assert [o["event"] for o in out] == [
        *("text", "record", "record", "record", "record", "record", "scan", "record", "finished", "result")
    ]
    assert out[4]["explained"].pop("meaning") == "a system call leads elsewhere"
    assert out[4]["explained"].pop("attribution").startswith("nobody")
    assert out[4]["explained"] == {"symbol": "calls+0x8", "expected": "good_fn", "actual": "evil_fn+0x4"}
    result = out[-1]
    assert (result["exit"], result["outcome"], result["verdict"], result["lost"]) == (
        5,
        "tampered",
        "tampered",
        None,
    )
    assert result["checks"]["syscall-table"]["findings"] == 1


def test_loss_and_an_empty_run_are_objects_too():
    assert objects([])[-1]["outcome"] == "lost"
    out = objects(lines(hello()) + ["TVMI1 1 00"])
    assert [o["event"] for o in out] == ["record", "broken", "lost", "result"]
    assert out[-1]["exit"] == 6


def test_a_program_reads_them():
    events = objects(lines(*SCANNED), schedule=SCHEDULE)
    first, again = (event for event in events if event["event"] == "worst-times")
    assert first["scan_s"] == 1.002
    assert first["rows"][0] == {
        "change": "code, constants, written by the target",
        "seconds": 1.123,
        "formula": "L + B + 2 p + 20 ms",
        "check": "text",
    }
    assert [event["record"] for event in events if event["event"] == "record"][5]["digested"] == 2000
    result = events[-1]
    assert result["worst_times"] == {key: again[key] for key in ("scan_s", "rows")}
    assert result["digested"] == 2000

    assert "worst_times" not in objects(lines(*SCANNED))[-1]


def test_a_notice_is_explained_too():
    out = objects(allowed())
    assert out[2]["record"]["type"] == "notice" and out[2]["explained"]["target"] == "good_fn"
    assert out[-1]["exit"] == 0 and out[-1]["checks"]["text"]["notices"] == 1


def test_each_object_says_when_where_and_about_which_target():
    stamp = Stamp("", clock=lambda: datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC), host="xen1")
    out = io.StringIO()
    reporter, collector = JsonLines(out, stamp=stamp), Collector()
    reporter.write("scenario", name="x", description="y")
    reporter.attached(Attached("web\x1b", 3, 4))
    reporter.status(Status(Verdict.INTACT, 3600.0, 60))
    reporter.events(collector.stopped("it was asked to by SIGHUP"))
    reporter.detached(collector)
    reporter.close(collector, [collector])
    first, attached, *rest, result = valid(out.getvalue())
    assert (first["time"], first["host"], "target" in first) == ("2026-03-01T12:00:05.250Z", "xen1", False)
    assert (attached["target"], attached["target_domain"], attached["monitor_domain"]) == ("web\x1b", 3, 4)
    assert [one["event"] for one in rest] == ["status", "stopped", "run"]
    assert (result["exit"], result["runs"], result["stopped"]) == (130, 2, "it was asked to by SIGHUP")
    assert out.getvalue().isascii() and "\x1b" not in out.getvalue()


@given(st.lists(st.binary(max_size=60)), st.text(max_size=30))
def test_no_control_character_is_written(soup, text):
    hostile = lines(hello(base=text), finding(text, symbol=text, note=text), bye(0, reason=text))
    written = reported(JsonLines, [*hostile, *soup])
    assert all(" " <= c <= "~" or c == "\n" for c in written)
    valid(written)


@pytest.mark.parametrize("change", [{"event": "weather"}, {"version": 0}, {"time": 7}, {"host": None}])
def test_what_is_no_event_is_refused(change):
    *_, scan, _, _, _ = objects(lines(*CLEAN))
    assert VALIDATOR.is_valid(scan) and not VALIDATOR.is_valid(scan | change)
