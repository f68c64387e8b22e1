"""One row: a target is started, and a monitor of each base checks it in its turn, clean and tampered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.experiments.targets.rows import Row
from tests.lab import bases
from tinyvmi_build.checks.tamper import Change
from tinyvmi_build.errors import MonitorLostError, TinyVMIError
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.lab.monitor import LiveGuest, Monitor
from tinyvmi_build.lab.options import TargetOptions
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.events import Event, Received
from tinyvmi_build.records.verdict import Verdict

SCANS = 20  # of a clean target
_AFTER = 3  # when all tampers are taken back
_MORE = 1  # scan after the one that reported: all checks have seen the change then, and reported all of it
_SHOWN = 5  # records that are shown of a difference
RAN, FAILED = "run", "failed"
_TARGET = "target"  # the domain that the lab's own project watches

Records = list[dict[str, Any]]
Reports = dict[str, list[str]]  # by step: the records, comparable


def run(lab: Lab, row: Row, names: Sequence[str], profiles: ProfileFile, label: str = "") -> dict[str, Any]:
    """What became of `row` with the monitors /lab/NAME; `outcome` FAILED: the lab did not get there."""
    begun = time.monotonic()
    try:
        target = lab.create_target(_TARGET, TargetOptions(row.kind, label=label, vcpus=row.vcpus))
        said = int(target.run("sed -n 's/ T _text$//p' /proc/kallsyms").check().out, 16)
        turns = {name: _Turn(lab, row, name, profiles, target) for name in names}
        for turn in turns.values():
            turn.run()
        target.destroy()
    except (TinyVMIError, TimeoutError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return {"outcome": FAILED, "reason": reason, "seconds": round(time.monotonic() - begun)}
    return {
        "outcome": RAN,
        "seconds": round(time.monotonic() - begun),
        "release": target.release,
        "xen": xen_of(lab.console_log),
        "bases": {name: turn.result | turn.place(said) for name, turn in turns.items()},
        "same": same([turn.reports for turn in turns.values()]),
        "differs": different({name: turn.reports for name, turn in turns.items()}) if len(turns) > 1 else {},
    }


class _Turn:
    """One base's monitor over the target; `result` is the outcome, `reports` the records of each step."""

    def __init__(self, lab: Lab, row: Row, name: str, profiles: ProfileFile, target: Target):
        self._lab, self._row, self._name, self._profiles, self._target = lab, row, name, profiles, target
        self._records: Records = []
        self.reports: Reports = {}
        self.result: dict[str, Any] = {"clean": 0, "after": 0, "tampers": {}, "lost": ""}

    def events(self, events: Iterable[Event]) -> None:
        """What the monitor tells, as it comes (xen.launch.Reporter)."""
        self._records += [event.record.body for event in events if isinstance(event, Received)]

    def run(self) -> None:
        folder = f"/lab/{self._name}"
        monitor = Monitor(self._lab, self._target, self, folder=folder, period="100ms")
        try:
            with self._lab.progress.step(f"{self._row.name}, {self._name}"):
                kernel = monitor.wait_kernel()
                self.result["clean"] = self._intact(monitor, SCANS)
                self.reports["clean"] = [str(record) for record in clean_of(self._records)]
                self.result |= {"find_us": kernel["duration_us"], "levels": kernel["levels"]}
                self.result["rev"] = self._rev()
                guest = LiveGuest(self._target, kernel, self._profiles)
                for change in self._row.tampers:
                    self._tamper(monitor, guest, change)
                self.result["after"] = self._intact(monitor, _AFTER)
            monitor.stop()
        except MonitorLostError as error:  # the monitor's failure, and not the lab's
            self.result["lost"] = str(error).splitlines()[0]
            self._lab.progress.warn(f"{self._row.name}, {self._name}: {error}")
            self._lab.run(["xl", "destroy", "tinyvmi-lab"])

    def place(self, said: int) -> dict[str, Any]:
        """Where the kernel was found, held against the guest's own word for `_text`."""
        kernel = next((r for r in self._records if r["type"] == "kernel"), None)
        if kernel is None:
            return {"where_it_says": False, "moved": False}
        # One boot in 500 puts it where it was linked.
        return {"where_it_says": int(kernel["text_va"], 16) == said, "moved": int(kernel["delta"], 16) != 0}

    def _intact(self, monitor: Monitor, scans: int) -> int:
        """How many consecutive scans were intact, of `scans`; 0 if one was not."""
        verdict, took = monitor.steady(Verdict.INTACT, scans)
        return took if verdict is Verdict.INTACT else 0

    def _tamper(self, monitor: Monitor, guest: LiveGuest, change: Change) -> None:
        """The target stands still while it is harmed: the monitor is tested, not how long a guest lives."""
        monitor.begin()
        start = len(self._records)
        self._target.pause()
        undo = change.apply(guest)
        try:
            verdict, took = monitor.expect(Verdict.TAMPERED, change.caught_by)
            monitor.steady(Verdict.TAMPERED, _MORE)
            found = [r for r in self._records[start:] if r["type"] == "finding"]
        finally:
            undo()
            self._target.unpause()
        restored, _ = monitor.expect(Verdict.INTACT)
        saved = tampered_of(change, found, self._named())
        saved |= {"verdict": verdict, "scans": took, "restored": restored}
        self.result["tampers"][change.name] = saved
        self.reports[change.name] = sorted({str(one) for one in bases.comparable(last_of_each_check(found))})
        self._lab.progress.note(f"{change.name}: {verdict} by {', '.join(saved['by'])}, then {restored}")

    def _named(self) -> Callable[[dict[str, Any]], str]:
        explainer = Explainer(self._profiles)
        for record in self._records:
            explainer.see(record)
        return lambda record: explainer.finding(record).symbol or str(record["symbol"])

    def _rev(self) -> str:
        return next((str(r.get("base_rev", "")) for r in self._records if r["type"] == "hello"), "")


def clean_of(records: Records) -> Records:
    """What a run over a clean target says, to be compared: all of it up to the end of the SCANS-th scan."""
    until = next((i for i, r in enumerate(records) if r["type"] == "heartbeat" and r["scan"] >= SCANS), None)
    # How often a monitor says that it lives within a scan depends on how long that takes.
    within = {(r["scan"], r["verdict"]) for r in records if r["type"] == "heartbeat"}
    reports = [r for r in records[:until] if r["type"] != "heartbeat"]
    beats = [{"type": "heartbeat", "scan": s, "verdict": v} for s, v in sorted(within) if 0 < s <= SCANS]
    return bases.comparable(reports) + beats


def last_of_each_check(found: Records) -> Records:
    """Findings without their scan, of the last scan in which their check reported: earlier ones may have been
    made while the change was."""
    last = {record["check"]: record["scan"] for record in found}
    records = [record for record in found if record["scan"] == last[record["check"]]]
    return [{name: value for name, value in record.items() if name != "scan"} for record in records]


def tampered_of(change: Change, found: Records, named: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Which checks have findings, and where the first one is of the check that must have."""
    first = next((record for record in found if record["check"] == change.caught_by), None)
    return {"by": sorted({record["check"] for record in found}), "at": named(first) if first else ""}


def same(reports: Sequence[Reports]) -> dict[str, bool]:
    """Of each step that any base took: whether all said the same in it."""
    steps = list(dict.fromkeys(step for one in reports for step in one))
    first, agree = reports[0], {}
    for step in steps:
        agree[step] = bool(first.get(step)) and all(one.get(step) == first[step] for one in reports)
    return agree


def different(reports: Mapping[str, Reports]) -> dict[str, dict[str, list[str]]]:
    """Of each step in which not all said the same: by base, what another one did not say."""
    agree = same(list(reports.values()))
    return {
        step: {base: _alone(reports, base, step) for base in reports}
        for step, good in agree.items()
        if not good
    }


def _alone(reports: Mapping[str, Reports], base: str, step: str) -> list[str]:
    others = [one.get(step, []) for other, one in reports.items() if other != base]
    found = [record for record in reports[base].get(step, []) if not all(record in other for other in others)]
    return found[:_SHOWN]


def xen_of(console: str) -> str:
    """The version that Xen says of itself as it boots."""
    found = re.search(r"Xen version (\S+)", console)
    return found[1] if found else "?"
