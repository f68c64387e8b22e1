"""What a person and a program are told."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.records.stream import BUILD_ID, CLEAN, beat, bye, check, finding, hello, kernel, lines, notice
from tinyvmi_build.errors import UsageError
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.report.latency import Rhythm
from tinyvmi_build.report.report import JsonLines, Terminal


class Table:
    """A symbol table of two functions and one array, at link addresses."""

    def nearest(self, va):
        table = [
            (0xFFFFFFFF81000010, "good_fn"),
            (0xFFFFFFFF81000020, "evil_fn"),
            (0xFFFFFFFF82000000, "calls"),
        ]
        below = [(name, va - at) for at, name in table if at <= va]
        return below[-1] if below else None


class Kernel:
    symbols = Table()


class Profiles:
    def by_build_id(self, hex_id):
        if hex_id != BUILD_ID:
            raise UsageError(hex_id)
        return Kernel()


class Tty(io.StringIO):
    def isatty(self):
        return True


def told(reporter_class, stream_lines, stream=None, explain=None, **options):
    stream = stream or io.StringIO()
    collector = Collector(**options)
    reporter = reporter_class(stream, explain)
    for line in stream_lines:
        reporter.events(collector.feed(line))
    reporter.events(collector.end())
    reporter.close(collector)
    return stream.getvalue()


def tampered(delta=0):
    def moved(at):
        return f"0x{at + delta:016x}"

    def pointer(to):
        return (to + delta).to_bytes(8, "little").hex()

    return lines(
        hello(),
        kernel(delta),
        check("syscall-table", "tampered", findings=1),
        finding(
            "syscall-table",
            address=moved(0xFFFFFFFF82000008),
            expected=pointer(0xFFFFFFFF81000010),
            actual=pointer(0xFFFFFFFF81000024),
        ),
        beat(1, "tampered"),
        bye(1, "tampered"),
    )


def test_a_person_reads_the_table_and_the_verdict():
    text = told(Terminal, ["booting", *lines(*CLEAN)])
    assert "| booting\n" in text
    assert "found kernel 6.1.0-test" in text
    assert "scan 1: intact" in text
    assert "scan 2" not in text  # nothing changed
    assert "identity  intact              10        0     1.5 ms" in text
    assert text.endswith("INTACT (2 scans)\n")
    assert "\x1b" not in text


def test_a_finding_is_explained_with_and_without_kaslr():
    for delta in (0, 0x1C00_0000):
        text = told(Terminal, tampered(delta), explain=Explainer(Profiles()))
        assert "FINDING syscall-table: pointer at sys_call_table+0x8" in text
        assert "[calls+0x8]" in text
        assert "→ good_fn\n" in text
        assert "→ evil_fn+0x4\n" in text
        assert text.endswith("TAMPERED (1 scan)\n")


def test_what_lies_before_its_symbol_is_told_so():
    below = lines(hello(), kernel(), finding("modules", symbol="veth", offset=(1 << 64) - 0x3000), bye(0))
    assert " at veth-0x3000 = " in told(Terminal, below)


def test_an_unknown_build_id_explains_nothing_and_breaks_nothing():
    other = lines(hello(), kernel() | {"build_id": "00" * 20}, finding("x"), bye(0))
    assert "FINDING" in told(Terminal, other, explain=Explainer(Profiles()))


def test_a_string_finding_shows_the_text():
    hostile = b"/tmp/evil\x1b[2J\0rest".hex()
    text = told(Terminal, lines(hello(), finding("policy-globals", kind="string", actual=hostile), bye(0)))
    assert '"/tmp/evil\\x1b[2J"' in text


def allowed():
    """A run that is intact, with a kprobe that the configuration allows."""
    told = notice("text", expected="41", actual="cc", owner="do\x1bit", note="a tracer may have set it")
    return lines(hello(), kernel(), told, check("text", notices=1), beat(1), bye(1))


def test_a_notice_is_told_and_changes_no_verdict():
    text = told(Terminal, allowed(), explain=Explainer(Profiles()))
    assert "NOTICE text: kprobe at sys_call_table+0x8" in text and "FINDING" not in text
    assert "leads to 0xffffffff81000010 <good_fn>, which the guest calls do\\x1bit\n" in text
    assert "    by       an administrator" in text
    assert "text: intact (10 compared, 1 notice, 1.5 ms)" in text and "(1 notice)" in text
    assert text.endswith("INTACT (1 scan)\n")
    out = [
        json.loads(line) for line in told(JsonLines, allowed(), explain=Explainer(Profiles())).splitlines()
    ]
    assert out[2]["record"]["type"] == "notice" and out[2]["explained"]["target"] == "good_fn"
    assert out[-1]["exit"] == 0 and out[-1]["checks"]["text"]["notices"] == 1


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[32m" in told(Terminal, lines(*CLEAN), Tty())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in told(Terminal, lines(*CLEAN), Tty())


def test_a_lost_monitor_is_told():
    text = told(Terminal, lines(*CLEAN)[:-2])
    assert text.endswith("MONITOR LOST: its console ended without a bye (1 scan)\n")
    assert "nothing was checked" in told(Terminal, lines(hello(), bye(0)))


def test_waiting_is_told_until_a_scan():
    waiting = {"type": "waiting", "reason": "no known kernel\x1b"}
    text = told(Terminal, lines(hello(), waiting, bye(0, "unverifiable", "target-gone")))
    assert "waiting: no known kernel\\x1b\n" in text
    assert text.endswith("nothing was checked: no known kernel\\x1b (0 scans)\n")
    assert told(Terminal, lines(hello(), waiting, *CLEAN[1:])).endswith("INTACT (2 scans)\n")


def test_a_program_reads_one_object_a_line():
    out = [
        json.loads(line)
        for line in told(JsonLines, ["hi\x1b", *tampered()], explain=Explainer(Profiles())).splitlines()
    ]
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


def test_a_program_is_told_of_loss_and_of_nothing():
    assert json.loads(told(JsonLines, []).splitlines()[-1])["outcome"] == "lost"
    out = [json.loads(line) for line in told(JsonLines, lines(hello()) + ["TVMI1 1 00"]).splitlines()]
    assert [o["event"] for o in out] == ["record", "broken", "lost", "result"]
    assert out[-1]["exit"] == 6


@given(st.lists(st.binary(max_size=60)), st.text(max_size=30), st.binary(max_size=20))
def test_no_control_character_reaches_a_terminal(soup, text, raw):
    hostile = lines(
        hello(base=text),
        check(text, "unverifiable", reason=text),
        finding(text, symbol=text, kind="string", actual=raw.hex(), note=text),
        {"type": text or "?", "x": text},
        {"type": "error", "where": text, "what": text},
        bye(0, reason=text),
    )
    for out in (told(Terminal, [*hostile, *soup]), told(JsonLines, [*hostile, *soup])):
        assert all(" " <= c <= "~" or c in "\t\n…→" for c in out)


RHYTHM = Rhythm(period_s=60, jitter_pct=10, poll_s=0.1, time_budget_s=0, comparison="bytes")
SCANNED = (
    hello(),
    kernel(),
    {"type": "tracking", "frames": 4508},
    check("text", duration_us=1_000_000, items=2000),
    check("idt", duration_us=2000),
    {"type": "memory", "cached": 900, "digested": 2000},
    beat(1),
    {"type": "tracking", "frames": 0, "reason": "why not"},
    beat(2),
    bye(2),
)


def test_a_person_reads_the_worst_times_and_that_memory_lacks():
    text = told(Terminal, lines(*SCANNED), rhythm=RHYTHM)
    assert "too little memory to keep 2000 of 2900 pages" in text
    assert "about 8 MiB more (monitor.memory) would do" in text
    first, again = text.split("worst times to detection, with scans of 1 s")[1:]
    assert "     1.12 s  code, constants, written by the target (text)\n" in first
    assert "without tracking" not in first and "without tracking (text)" in again


def test_a_program_reads_them():
    events = [json.loads(line) for line in told(JsonLines, lines(*SCANNED), rhythm=RHYTHM).splitlines()]
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


def test_without_a_rhythm_nothing_is_said_of_times():
    assert "worst" not in told(Terminal, lines(*SCANNED))
    assert "worst_times" not in told(JsonLines, lines(*SCANNED))


def test_costs_are_told_with_the_phases_that_there_are():
    cost = {"type": "cost", "scan": 0, "check": "text", "took_ns": 9_000_000, "map_ns": 2_000, "map_pages": 7}
    cost |= {"map_calls": 1}
    more = cost | {"read_ns": 4_000_000, "sites_ns": 5_000, "hash_ns": 0, "report_ns": 0}
    text = told(Terminal, lines(hello(), kernel(), cost, more))
    old, new = [line for line in text.splitlines() if "text: cost" in line]
    assert old.endswith("text: cost 9.0 ms, 2 us of it to map 7 pages in 1 calls")
    assert new.endswith("in 1 calls, 4.0 ms to read, 5 us at places that are patched")
