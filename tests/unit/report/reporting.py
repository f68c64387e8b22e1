"""Runs to report, and what a reporter makes of them."""

import io

from tests.unit.records.stream import BUILD_ID, beat, bye, check, finding, hello, kernel, lines, notice
from tinyvmi_build.errors import UsageError
from tinyvmi_build.profile.golden import Unsupported
from tinyvmi_build.records.collector import Collector, Expected
from tinyvmi_build.report.latency import LatencyMeter, Schedule


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
    sections = ()

    def values(self, kind):
        return Unsupported("it is a test's")


class Profiles:
    def by_build_id(self, hex_id):
        if hex_id != BUILD_ID:
            raise UsageError(hex_id)
        return Kernel()


def reported(reporter, stream_lines, stream=None, schedule=None, **expected):
    """What `reporter`, made for a stream by this call, writes for a run of these console lines."""
    stream = stream or io.StringIO()
    collector = Collector(None, Expected(**expected))
    meter = LatencyMeter(schedule) if schedule else None
    made = reporter(stream)
    for line in stream_lines:
        events = collector.feed(line)
        made.events(meter.following(events) if meter else events)
    made.events(collector.end())
    made.close(collector)
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


def allowed():
    """A run that is intact, with a kprobe that the configuration allows."""
    probe = notice("text", expected="41", actual="cc", owner="do\x1bit", note="a tracer may have set it")
    return lines(hello(), kernel(), probe, check("text", notices=1), beat(1), bye(1))


SCHEDULE = Schedule(period_s=60, jitter_pct=10, poll_s=0.1, time_budget_s=0, comparison="bytes")
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
