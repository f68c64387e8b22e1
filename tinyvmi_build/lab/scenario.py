"""What a scenario is, and how its steps are run and counted.

A scenario is a module in `scenarios/` with one object `SCENARIO`.  Its `run`
gets a `ScenarioRunner`, on which the target and a monitor are up, and takes steps
there: each has an expectation, and a step that comes out otherwise is noted
and not an exception, so that the table at the end is complete.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tinyvmi_build.checks.tamper import Change
from tinyvmi_build.errors import Exit, MonitorLostError, UsageError
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.target import Target
from tinyvmi_build.records.protocol import Body
from tinyvmi_build.records.verdict import Verdict, exit_of


@dataclass(frozen=True)
class Step:
    """One line of the closing table."""

    title: str
    expected: str
    got: str
    ok: bool
    note: str = ""
    exit: Exit = Exit.INTERNAL  # the status of the run if this step is the one that failed


@dataclass
class ScenarioRunner:
    """The target and the monitor of a scenario, the steps that it takes with them, and how they came out."""

    target: Target
    monitor: Monitor
    guest: LiveGuest
    tell: Callable[[str, str], None]  # (event, text): "begin" and "end" of steps, live
    registers: Sequence[Change] = ()  # changes of registers that this monitor can see
    steps: list[Step] = field(default_factory=list)

    def intact(self, title: str, scans: int = 1) -> None:
        """`scans` scans have to find nothing."""
        self.tell("begin", title)
        got, took = self.monitor.steady(Verdict.INTACT, scans)
        self._verdict(title, Verdict.INTACT, got, f"{took} scans")

    def tampered(self, change: Change) -> Callable[[], None]:
        """Apply `change`; the next scan has to say tampered, by the check that must.  Returns the undo.

        The target stands still meanwhile: the monitor is tested, not how long a guest lives with wrong code.
        """
        title = f"tampered: {change.description}"
        self.tell("begin", title)
        self.monitor.begin()
        self.target.pause()
        put_back = change.apply(self.guest)

        def undo() -> None:
            put_back()
            self.target.unpause()

        got, took = self.monitor.expect(Verdict.TAMPERED, change.caught_by)
        by = sorted({finding["check"] for finding in self.monitor.findings})
        first = next((f for f in self.monitor.findings if f["check"] == change.caught_by), None)
        note = (
            f"{_location(first)} by {', '.join(by)}, after {took} scans"
            if first
            else f"reported by {', '.join(by) or 'no check'}"
        )
        self._verdict(title, Verdict.TAMPERED, got, note, right=first is not None)
        return undo

    def restored(self, undo: Callable[[], None]) -> None:
        """Put the bytes back; the scan after it has to say intact again."""
        title = "the bytes put back"
        self.tell("begin", title)
        undo()
        got, took = self.monitor.expect(Verdict.INTACT)
        self._verdict(title, Verdict.INTACT, got, f"after {took} scans")

    def benign(self, change: Change) -> None:
        """Apply a legitimate change: scans have to go on finding nothing; then put the bytes back."""
        title = f"legitimate: {change.description}"
        self.tell("begin", title)
        if change.by_guest:
            self.target.run(change.by_guest[0]).check()
            got, took = self.monitor.steady(Verdict.INTACT)
            self.target.run(change.by_guest[1]).check()
        else:
            self.target.pause()
            undo = change.apply(self.guest)
            self.target.unpause()
            got, took = self.monitor.steady(Verdict.INTACT)
            self.target.pause()
            undo()
            self.target.unpause()
        self._verdict(title, Verdict.INTACT, got, f"{took} scans")

    def _verdict(self, title: str, expected: Verdict, got: Verdict, note: str, right: bool = True) -> None:
        ok = got is expected and right
        failed = exit_of(got) if got is not Verdict.INTACT else Exit.INTERNAL
        if got is Verdict.TAMPERED and expected is Verdict.TAMPERED:
            failed = Exit.INTERNAL
        self.steps.append(Step(title, expected, got, ok, note, failed))
        self.tell("end", f"{'ok' if ok else 'NOT AS EXPECTED'}: {got}")


@dataclass(frozen=True)
class Scenario:
    """`run` raises MonitorLostError if the monitor is."""

    name: str
    description: str
    expectation: str
    run: Callable[[ScenarioRunner], None]


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name."""
    from tinyvmi_build.lab import scenarios as package

    found = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        scenario = importlib.import_module(f"{package.__name__}.{module.name}").SCENARIO
        found[scenario.name] = scenario
    return found


def scenario(name: str) -> Scenario:
    """The scenario `name`; UsageError naming those that there are."""
    known = scenarios()
    if name not in known:
        raise UsageError(f"there is no scenario '{name}'", hint=f"there are {', '.join(known)}")
    return known[name]


def run_scenario(chosen: Scenario, runner: ScenarioRunner) -> list[Step]:
    """Run one scenario; its steps, of which the last one names the loss of a monitor."""
    runner.steps = []
    try:
        chosen.run(runner)
    except MonitorLostError as error:
        step = Step(error.message, "a living monitor", "monitor lost", False, exit=Exit.MONITOR_LOST)
        runner.steps.append(step)
    return runner.steps


def exit_status(steps: list[Step]) -> Exit:
    """0 if every step came out as expected, else the documented status of the worst that did not."""
    if not steps:
        return Exit.UNVERIFIABLE
    failed = {step.exit for step in steps if not step.ok}
    order = (Exit.MONITOR_LOST, Exit.TAMPERED, Exit.ENVIRONMENT, Exit.INTERNAL, Exit.UNVERIFIABLE)
    return next((code for code in order if code in failed), Exit.INTACT)


def _location(finding: Body | None) -> str:
    return f"{finding['symbol']}+0x{finding['offset']:x}" if finding else ""
