"""Listening to a console until the monitor ends or somebody asks the run to end."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.unit.records.stream import CLEAN, beat, bye, check, hello, kernel, lines
from tinyvmi_build.errors import Exit
from tinyvmi_build.records.collector import Collector, Expected
from tinyvmi_build.report.latency import Schedule
from tinyvmi_build.report.terminal import Terminal
from tinyvmi_build.xen import listen as listening
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.listen import Listener
from tinyvmi_build.xen.stop import Stop

SCHEDULE = Schedule(period_s=60, jitter_pct=10, poll_s=0.1, time_budget_s=0, comparison="bytes")
TAMPERED = (hello(), kernel(), check("idt", "tampered"), beat(1, "tampered"))


class Alive:
    """A domain that goes on until `why` says otherwise."""

    why: str | None = None

    def ended(self) -> str | None:
        return self.why

    def close(self) -> None:
        pass


def listen(
    stop: Stop,
    during: Callable[[Collector], None],
    *,
    first: Callable[[], object] = lambda: None,
    watch: Alive | None = None,
    every: float = 0,
) -> tuple[Collector, str]:
    """Listen while `during` runs beside, after `first`; what became of the run, and what was printed."""
    out = io.StringIO()
    collector = Collector(None, Expected(start_s=30, silence_s=30))
    beside = threading.Thread(target=during, args=(collector,))
    with Console(7) as console:
        first()
        beside.start()
        listener = Listener(collector, Terminal(out), SCHEDULE, stop)
        listener.listen(console, watch or Alive(), 60, every)  # type: ignore[arg-type]
    beside.join()
    return collector, out.getvalue()


def say(guest: int, *bodies: dict[str, object]) -> None:
    os.write(guest, "".join(f"{line}\n" for line in lines(*bodies)).encode())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_its_verdict(guest: int, number: signal.Signals) -> None:
    def during(collector: Collector) -> None:
        say(guest, *TAMPERED)
        until(lambda: collector.scans == 1)
        os.kill(os.getpid(), number)

    with Stop().installed() as stop:
        collector, text = listen(stop, during)
    assert collector.exit_code() is Exit.TAMPERED and collector.lost_reason is None
    assert f"the run ends: it was asked to by {number.name}\n" in text


def test_what_is_on_its_way_when_the_signal_comes_counts(guest: int) -> None:
    """xenconsoled hands it over in pieces."""
    pieces = [f"{line}\n".encode() for line in lines(*TAMPERED)]

    def during(collector: Collector) -> None:
        for piece in pieces[1:]:
            os.write(guest, piece)
            time.sleep(0.03)

    with Stop().installed() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: stop.requested)
        collector, _ = listen(stop, during, first=lambda: os.write(guest, pieces[0]))
    assert collector.exit_code() is Exit.TAMPERED


def test_a_second_signal_cuts_short_but_not_what_is_shielded() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stop().installed() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        until(lambda: stop.requested)
        with stop.shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(5)
        assert stop.reason == "it was asked to by SIGTERM"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_ends_by_itself(guest: int) -> None:
    collector, text = listen(Stop(), lambda collector: say(guest, *CLEAN))
    assert collector.exit_code() is Exit.INTACT
    assert "worst times to detection" in text


def test_a_domain_that_ends_without_a_bye(guest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_LAST_WORDS_S", 0.02)
    watch = Alive()

    def during(collector: Collector) -> None:
        say(guest, *CLEAN[:-1])
        until(lambda: collector.scans == 2)
        watch.why = "its domain crashed"

    collector, text = listen(Stop(), during, watch=watch)
    assert collector.exit_code() is Exit.MONITOR_LOST
    assert "monitor lost: its domain crashed\n" in text


def test_a_status_comes_while_nothing_changes(guest: int) -> None:
    def during(collector: Collector) -> None:
        say(guest, *CLEAN[:-1])
        time.sleep(2.5)
        say_more = lines(*CLEAN[:-1], bye(2))[-1]
        os.write(guest, f"{say_more}\n".encode())

    collector, text = listen(Stop(), during, every=1)
    assert collector.exit_code() is Exit.INTACT
    assert text.count("intact for 1 s, 2 scans\n") == 1
