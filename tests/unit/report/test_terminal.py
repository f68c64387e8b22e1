"""What a person reads of a run."""

import io
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.records.stream import CLEAN, beat, bye, check, finding, hello, kernel, lines
from tests.unit.report.reporting import SCANNED, SCHEDULE, Profiles, allowed, reported, tampered
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.records.collector import Collector, Expected
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.reporter import Attached, Status
from tinyvmi_build.report.stamp import Stamp
from tinyvmi_build.report.terminal import Terminal


def explained(stream_lines):
    """With a profile that names a few symbols."""
    return reported(lambda stream: Terminal(stream, Explainer(Profiles())), stream_lines)


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_a_person_reads_the_table_and_the_verdict():
    text = reported(Terminal, ["booting", *lines(*CLEAN)])
    assert "| booting\n" in text
    assert "found kernel 6.1.0-test" in text
    assert "scan 1: intact" in text
    assert "scan 2" not in text  # nothing changed
    assert "identity  intact              10        0     1.5 ms" in text
    assert text.endswith("INTACT (2 scans)\n")
    assert "\x1b" not in text


def test_a_finding_is_explained_with_and_without_kaslr():
    for delta in (0, 0x1C00_0000):
        text = explained(tampered(delta))
        assert "FINDING syscall-table: pointer at sys_call_table+0x8" in text
        assert "[calls+0x8]" in text
        assert "→ good_fn\n" in text
        assert "→ evil_fn+0x4\n" in text
        assert text.endswith("TAMPERED (1 scan)\n")


def test_what_lies_before_its_symbol_has_a_negative_offset():
    below = lines(hello(), kernel(), finding("modules", symbol="veth", offset=(1 << 64) - 0x3000), bye(0))
    assert " at veth-0x3000 = " in reported(Terminal, below)


def test_an_unknown_build_id_explains_nothing_and_breaks_nothing():
    other = lines(hello(), kernel() | {"build_id": "00" * 20}, finding("x"), bye(0))
    assert "FINDING" in explained(other)


def test_a_string_finding_shows_the_text():
    hostile = b"/tmp/evil\x1b[2J\0rest".hex()
    text = reported(
        Terminal, lines(hello(), finding("policy-globals", kind="string", actual=hostile), bye(0))
    )
    assert '"/tmp/evil\\x1b[2J"' in text


def test_a_notice_is_printed_and_changes_no_verdict():
    text = explained(allowed())
    assert "NOTICE text: kprobe at sys_call_table+0x8" in text and "FINDING" not in text
    assert "leads to 0xffffffff81000010 <good_fn>, which the guest calls do\\x1bit\n" in text
    assert "    by       an administrator" in text
    assert "text: intact (10 compared, 1 notice, 1.5 ms)" in text and "(1 notice)" in text
    assert text.endswith("INTACT (1 scan)\n")


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[32m" in reported(Terminal, lines(*CLEAN), Tty())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in reported(Terminal, lines(*CLEAN), Tty())


def test_a_lost_monitor_is_reported():
    text = reported(Terminal, lines(*CLEAN)[:-2])
    assert text.endswith("MONITOR LOST: its console ended without a bye (1 scan)\n")
    assert "nothing was checked" in reported(Terminal, lines(hello(), bye(0)))


def test_waiting_is_reported_until_a_scan():
    waiting = {"type": "waiting", "reason": "no known kernel\x1b"}
    text = reported(Terminal, lines(hello(), waiting, bye(0, "unverifiable", "target-gone")))
    assert "waiting: no known kernel\\x1b\n" in text
    assert text.endswith("nothing was checked: no known kernel\\x1b (0 scans)\n")
    assert reported(Terminal, lines(hello(), waiting, *CLEAN[1:])).endswith("INTACT (2 scans)\n")


def test_a_person_reads_the_worst_times_and_that_memory_lacks():
    text = reported(Terminal, lines(*SCANNED), schedule=SCHEDULE)
    assert "too little memory to copy 2000 of 2900 pages" in text
    assert "about 8 MiB more (monitor.memory) would do" in text
    first, again = text.split("worst times to detection, with scans of 1 s")[1:]
    assert "     1.12 s  code, constants, written by the target (text)\n" in first
    assert "without write tracking" not in first and "without write tracking (text)" in again


def test_costs_are_printed_with_the_phases_that_there_are():
    cost = {"type": "cost", "scan": 0, "check": "text", "took_ns": 9_000_000, "map_ns": 2_000, "map_pages": 7}
    cost |= {"map_calls": 1}
    more = cost | {"read_ns": 4_000_000, "sites_ns": 5_000, "hash_ns": 0, "report_ns": 0}
    text = reported(Terminal, lines(hello(), kernel(), cost, more))
    old, new = [line for line in text.splitlines() if "text: cost" in line]
    assert old.endswith("text: cost 9.0 ms, 2 us of it to map 7 pages in 1 calls")
    assert new.endswith("in 1 calls, 4.0 ms to read, 5 us at patch sites")


BOOTING = {"type": "waiting", "reason": "the kernel is still booting"}
UNKNOWN = {"type": "waiting", "reason": "no kernel that this image knows is there"}


def test_each_reason_to_wait_is_printed_once_between_two_scans():
    """A kernel that boots is found, is forgotten while it does not get on, and is found again."""
    boot = (hello(), UNKNOWN, kernel(), BOOTING, UNKNOWN, kernel(), BOOTING, UNKNOWN)
    text = reported(Terminal, lines(*boot, check("idt"), beat(1), BOOTING, check("idt"), beat(2), bye(2)))
    assert text.count("waiting: the kernel is still booting\n") == 2
    assert text.count("waiting: no kernel") == 1
    assert text.count("\nscan ") == 2  # the second follows a wait, and is news


def test_checks_that_have_not_reported_are_one_line():
    names = [f"check-{number}" for number in range(10)]
    text = reported(Terminal, lines(hello(), bye(0)), checks=["identity", *names])
    assert f"  not reported yet: identity, {', '.join(names)}\n" in text
    assert text.count("reported") == 1


STAMP = Stamp("web\x1b1", clock=lambda: datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), host="xen1")


def stamped(stream):
    return Terminal(stream, stamp=STAMP)


def test_each_line_of_launch_has_time_and_target(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    text = reported(stamped, ["chatter", *tampered()])
    assert text.count("\n") > 10
    assert all(line.startswith("2026-03-01T12:00:05+00:00 web\\x1b1: ") for line in text.splitlines())


def test_a_reporter_that_is_attached_elsewhere_says_so():
    stamp = Stamp("first", clock=STAMP.clock)
    out = io.StringIO()
    terminal = Terminal(out, stamp=stamp)
    terminal.status(Status(Verdict.INTACT, 3 * 3600, 180))
    terminal.attached(Attached("second", 3, 4))
    terminal.status(Status(Verdict.INTACT, 90, 1))
    assert [line.partition(" ")[2] for line in out.getvalue().splitlines()] == [
        "first: intact for 3 h, 180 scans",
        "second: intact for 1 min, 1 scan",
    ]


def test_a_run_that_is_asked_to_end_says_so_and_has_its_verdict():
    out = io.StringIO()
    collector = Collector(None, Expected())
    terminal = Terminal(out)
    for line in tampered()[:-1]:
        terminal.events(collector.feed(line))
    terminal.events(collector.stopped("it was asked to by SIGTERM"))
    terminal.close(collector)
    assert "the run ends: it was asked to by SIGTERM\n" in out.getvalue()
    assert out.getvalue().endswith("TAMPERED (1 scan)\n")


@given(st.lists(st.binary(max_size=60)), st.text(max_size=30), st.binary(max_size=20))
def test_no_control_character_reaches_a_terminal(soup, text, raw):
    hostile = lines(
        hello(base=text, digest=text, base_rev=text),
        check(text, "unverifiable", reason=text),
        finding(text, symbol=text, kind="string", actual=raw.hex(), note=text, owner=text),
        {"type": text or "?", "x": text},
        {"type": "waiting", "reason": text, "banner": text},
        {"type": "tracking", "frames": 0, "reason": text},
        {"type": "error", "where": text, "what": text},
        bye(0, reason=text),
    )
    for reporter in (Terminal, lambda stream: Terminal(stream, stamp=Stamp(text))):
        assert all(" " <= c <= "~" or c in "\t\n…→" for c in reported(reporter, [*hostile, *soup]))


def test_without_a_schedule_there_are_no_worst_times():
    assert "worst" not in reported(Terminal, lines(*SCANNED))
