"""What a stream amounts to, and that nothing but a whole clean run is intact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.records.stream import CLEAN, beat, bye, check, finding, hello, kernel, lines
from tinyvmi_build.errors import Exit
from tinyvmi_build.records.collector import Collector, Expected, exit_of_runs
from tinyvmi_build.records.events import Finished, Lost, ScanDone, Stopped
from tinyvmi_build.records.format import MonitorFault
from tinyvmi_build.records.protocol import format_record
from tinyvmi_build.records.verdict import Verdict, worst

RUN = "feedfacefeedface"


def collect(stream_lines, **options):
    collector = Collector(RUN, Expected(**options))
    events = [event for line in stream_lines for event in collector.feed(line)]
    return collector, events + collector.end()


def lost_reason(stream_lines, **options) -> str:
    collector, events = collect(stream_lines, **options)
    assert collector.exit_code() is Exit.MONITOR_LOST
    assert collector.verdict is not Verdict.INTACT
    assert [e for e in events if isinstance(e, Lost)] == [Lost(collector.lost_reason)]
    return collector.lost_reason


def test_worst_of():
    order = [Verdict.INTACT, Verdict.UNVERIFIABLE, Verdict.ERROR, Verdict.TAMPERED]
    for i, a in enumerate(order):
        for b in order[i:]:
            assert worst([a, b]) is worst([b, a]) is b
    assert worst([]) is None


def test_a_clean_run_is_intact():
    collector, events = collect(lines(*CLEAN), checks=["identity", "idt"], target=2, image="0123456789abcdef")
    assert collector.verdict is Verdict.INTACT
    assert collector.exit_code() is Exit.INTACT
    assert [e for e in events if isinstance(e, ScanDone)] == [
        ScanDone(1, Verdict.INTACT),
        ScanDone(2, Verdict.INTACT),
    ]
    assert events[-1] == Finished("scans-done", Verdict.INTACT)


def test_tampered_stays_for_the_run_while_the_scan_recovers():
    collector, events = collect(
        lines(
            hello(),
            kernel(),
            check("idt"),
            beat(1),
            finding("idt", 2),
            check("idt", "tampered", 2),
            beat(2, "tampered"),
            check("idt", "intact", 3),
            beat(3),
            bye(3),
        )
    )
    assert [e.verdict for e in events if isinstance(e, ScanDone)] == ["intact", "tampered", "intact"]
    assert collector.current is Verdict.INTACT
    assert collector.checks["idt"].verdict is Verdict.INTACT
    assert collector.checks["idt"].worst is Verdict.TAMPERED
    assert collector.exit_code() is Exit.TAMPERED
    assert [d.symbol for d in collector.checks["idt"].details] == ["sys_call_table"]


def test_a_finding_alone_makes_tampered():
    collector, _ = collect(lines(hello(), check("idt"), finding("idt"), beat(1), bye(1)))
    assert collector.exit_code() is Exit.TAMPERED


def test_the_monitors_word_is_never_made_better():
    for word in ("tampered", "error", "unverifiable"):
        collector, _ = collect(lines(hello(), check("idt"), beat(1, word), bye(1)))
        assert collector.verdict == word
        collector, _ = collect(lines(hello(), check("idt"), beat(1), bye(1, word)))
        assert collector.verdict == word


@pytest.mark.parametrize(
    "bodies",
    [
        (hello(), bye(0)),
        (hello(), beat(1), bye(1)),
        (hello(), check("idt"), bye(0)),
        (hello(), check("idt", items=0), beat(1), bye(1)),
    ],
)
def test_what_checked_nothing_is_unverifiable(bodies):
    collector, _ = collect(lines(*bodies))
    assert collector.exit_code() is Exit.UNVERIFIABLE


def test_a_check_that_never_reports_is_missed():
    collector, _ = collect(lines(*CLEAN), checks=["identity", "idt", "rodata"])
    assert collector.missing == ("rodata",)
    assert collector.exit_code() is Exit.UNVERIFIABLE


def test_an_error_before_any_check_is_the_environments():
    trouble = {"type": "error", "where": "map", "what": "no privilege"}
    collector, _ = collect(lines(hello(), trouble, bye(0, "error", "no-privilege")))
    assert collector.exit_code() is Exit.ENVIRONMENT
    assert collector.errors == [MonitorFault("map", "no privilege")]


@pytest.mark.parametrize("drop", range(1, len(CLEAN) - 1))
def test_a_gap_loses_the_monitor(drop):
    text = lines(*CLEAN)
    assert "was due" in lost_reason(text[:drop] + text[drop + 1 :])


@pytest.mark.parametrize("cut", range(len(CLEAN)))
def test_an_end_without_bye_loses_the_monitor(cut):
    assert ("without a bye" if cut else "never said hello") in lost_reason(lines(*CLEAN)[:cut])


@pytest.mark.parametrize("place", range(len(CLEAN)))
def test_a_cut_line_loses_the_monitor(place):
    text = lines(*CLEAN)
    text[place] = text[place][: len(text[place]) // 2]
    assert "CRC" in lost_reason(text)


def test_a_recording_may_be_cut_off_but_not_be_empty():
    assert collect(lines(*CLEAN)[:-1], bye_due=False)[0].exit_code() is Exit.INTACT
    assert collect([], bye_due=False)[0].exit_code() is Exit.MONITOR_LOST


@pytest.mark.parametrize(
    ("bodies", "options", "reason"),
    [
        ((hello(nonce="00"), *CLEAN[1:]), {}, "nonce of another run"),
        (CLEAN, {"image": "f" * 16}, "another image"),
        (CLEAN, {"target": 3}, "another target"),
        (CLEAN[1:], {}, "not 'hello'"),
        ((hello(), hello()), {}, "hello twice"),
        ((*CLEAN, beat(3)), {}, "after its bye"),
        ((hello(), check("idt"), beat(2), beat(1), bye(1)), {}, "backwards"),
        ((hello(), check("idt", findings=2), beat(1), bye(1)), {}, "counts findings"),
        ((hello(), *(check(f"c{i}") for i in range(65)), beat(1), bye(1)), {}, "more checks"),
        ((hello(abi=1), *CLEAN[1:]), {}, "'abi'"),
    ],
)
def test_what_does_not_fit_loses_the_monitor(bodies, options, reason):
    assert reason in lost_reason(lines(*bodies), **options)


def test_a_restart_is_reported_as_one():
    assert "started again" in lost_reason(lines(*CLEAN[:4]) + lines(*CLEAN))


def test_tampering_that_was_seen_before_the_loss_counts():
    collector, _ = collect(lines(hello(), check("idt", "tampered"), beat(1, "tampered")))
    assert (collector.verdict, collector.exit_code()) == (Verdict.TAMPERED, Exit.MONITOR_LOST)


def test_silence_is_measured_from_the_last_good_record():
    now = [100.0]
    collector = Collector(RUN, Expected(start_s=30, silence_s=5), clock=lambda: now[0])
    now[0] += 29
    assert collector.tick() == []
    assert collector.remaining() == 1
    collector.feed(format_record(0, hello()))
    now[0] += 4
    collector.feed("mere chatter")
    assert collector.remaining() == 1
    now[0] += 1
    assert collector.tick() == [Lost("it has been silent for 5 s")]
    assert collector.tick() == []
    assert collector.exit_code() is Exit.MONITOR_LOST


def test_long_checks_may_be_long_silent():
    """Three times the longest check is added; a number beyond reason is not believed."""
    now = [0.0]
    collector = Collector(RUN, Expected(start_s=30, silence_s=5), clock=lambda: now[0])
    for line in lines(hello(), kernel(), check("identity", duration_us=2_000_000)):
        collector.feed(line)
    assert collector.remaining() == 11
    collector.feed(format_record(3, check("idt", duration_us=10**400)))
    assert collector.remaining() == 5 + 3 * 600


def test_how_long_it_took_is_measured_from_the_start():
    now = [100.0]
    collector = Collector(RUN, Expected(start_s=30), clock=lambda: now[0])
    for line in lines(*CLEAN):
        now[0] += 0.5
        collector.feed(line)
    assert collector.timings == {"hello": 0.5, "kernel": 1.0, "first-check": 1.5, "first-scan": 2.5}


def test_who_was_watched_and_is_no_more_is_unverifiable():
    """kexec to a kernel that nobody knows: scans were intact, and then there was nothing to scan."""
    waiting = {"type": "waiting", "reason": "gone", "banner": "Linux version 0.01"}
    collector, _ = collect(lines(*CLEAN[:-1], waiting, bye(2, "unverifiable", "target-gone")))
    assert (collector.verdict, collector.exit_code()) == (Verdict.UNVERIFIABLE, Exit.UNVERIFIABLE)
    assert collector.waiting == "gone; its memory says: Linux version 0.01"
    collector, _ = collect(lines(*CLEAN[:-1], waiting, kernel(), beat(3), bye(3)))
    assert collector.verdict is Verdict.UNVERIFIABLE


def test_the_worst_of_several_runs_decides():
    def ended(*bodies):
        return collect(lines(*bodies))[0]

    clean, lost = ended(*CLEAN), ended(*CLEAN[:3])
    unknown = ended(hello(), bye(0, "unverifiable", "target-gone"))
    tampered = ended(hello(), check("idt", "tampered"), beat(1, "tampered"), bye(1, "tampered"))
    assert exit_of_runs([]) is Exit.UNVERIFIABLE
    assert exit_of_runs([clean, clean]) is Exit.INTACT
    assert exit_of_runs([clean, unknown, clean]) is Exit.UNVERIFIABLE
    assert exit_of_runs([tampered, unknown, clean]) is Exit.TAMPERED
    assert exit_of_runs([tampered, lost]) is Exit.MONITOR_LOST


def stopped_after(*bodies, checks=()):
    """A run that is asked to end after these records."""
    collector = Collector(RUN, Expected(checks=checks))
    for line in lines(*bodies):
        collector.feed(line)
    assert collector.stopped("SIGTERM") == [Stopped("SIGTERM")]
    assert collector.stopped("SIGHUP") == collector.end() == collector.tick() == []
    return collector


def test_a_run_that_is_asked_to_end_has_its_verdict():
    bad = (hello(), kernel(), finding("idt", 1), check("idt", "tampered", 1), beat(1, "tampered"))
    assert stopped_after(*CLEAN[:-1]).exit_code() is Exit.INTACT
    assert stopped_after(*bad).exit_code() is Exit.TAMPERED
    assert stopped_after(*bad[:-1]).exit_code() is Exit.TAMPERED  # in the midst of a scan
    assert stopped_after(*CLEAN[:3]).exit_code() is Exit.UNVERIFIABLE
    assert stopped_after(*CLEAN[:-1], checks=["identity", "rodata"]).exit_code() is Exit.UNVERIFIABLE
    assert stopped_after(*CLEAN[:2]).exit_code() is Exit.INTERRUPTED
    assert stopped_after().exit_code() is Exit.INTERRUPTED


def test_an_end_that_came_before_the_request_stays():
    collector, _ = collect(lines(*CLEAN))
    assert collector.stopped("SIGTERM") == [] and collector.stop_reason is None
    collector, _ = collect(lines(*CLEAN[:3]))
    assert collector.stopped("SIGTERM") == [] and collector.exit_code() is Exit.MONITOR_LOST


def test_a_target_that_was_watched_decides_over_one_that_was_not():
    clean, none = stopped_after(*CLEAN[:-1]), stopped_after(hello())
    assert exit_of_runs([clean, none]) is Exit.INTACT
    assert exit_of_runs([none]) is Exit.INTERRUPTED


def test_a_start_without_hello_times_out_and_a_bye_stops_the_clock():
    now = [0.0]
    collector = Collector(RUN, Expected(start_s=30, silence_s=5), clock=lambda: now[0])
    now[0] = 30
    assert collector.tick() == [Lost("it said nothing for 30 s after its start")]
    collector = Collector(RUN, Expected(start_s=30, silence_s=5), clock=lambda: now[0])
    for line in lines(*CLEAN):
        collector.feed(line)
    now[0] += 1000
    assert collector.remaining() is None
    assert collector.tick() == []


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(lambda b: b"TVMI1 " + b), max_size=20))
def test_byte_soup_never_raises_and_is_never_intact(soup):
    collector, _ = collect(soup)
    assert collector.verdict is not Verdict.INTACT
    assert collector.exit_code() is Exit.MONITOR_LOST


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_well_framed_nonsense_never_raises(data):
    """Right sequence and CRC, arbitrary values in real fields: the hardest soup."""
    bodies = []
    for body in CLEAN:
        changes = data.draw(st.dictionaries(st.sampled_from(sorted(body.keys())), JSON, max_size=2))
        bodies.append(body | changes)
    collector, _ = collect(lines(*bodies))
    if collector.verdict is Verdict.INTACT:
        assert collector.lost_reason is None
        assert collector.bye is not None
        assert collector.bye.verdict == "intact"
