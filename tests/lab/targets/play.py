"""One row: a target is started, and the monitors of all bases judge it in turns, clean and tampered."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from tests.lab import bases
from tests.lab.targets.rows import Row
from tinyvmi_build.errors import Exit, TinyVMIError
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.tamper import Change
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.verdict.explain import Explainer

SCANS = 20  # of a clean target
_AFTER = 3  # when all tampers are taken back
RAN, FAILED = "run", "failed"
_TARGET = "target"  # the domain that the lab's own project watches

Records = list[dict[str, Any]]


def play(lab: Lab, row: Row, names: Sequence[str], profiles: ProfileFile, label: str = "") -> dict[str, Any]:
    """What became of `row` with the monitors /lab/NAME; `outcome` FAILED: the lab did not get there."""
    begun = time.monotonic()
    try:
        target = lab.create_target(_TARGET, kind=row.kind, label=label, vcpus=row.vcpus)
        found = _Play(lab, row, names, profiles, target).all()
        target.destroy()
        found["outcome"] = RAN
    except (TinyVMIError, TimeoutError) as error:
        found = {"outcome": FAILED, "reason": (str(error).splitlines() or [type(error).__name__])[0]}
    return found | {"seconds": round(time.monotonic() - begun)}


class _Play:
    def __init__(self, lab: Lab, row: Row, names: Sequence[str], profiles: ProfileFile, target: Target):
        self._lab, self._row, self._names, self._profiles, self._target = lab, row, names, profiles, target
        self._find_us: dict[str, list[int]] = {name: [] for name in names}
        self._kernels: dict[str, dict[str, Any]] = {}  # by base: the kernel record of its first run

    def all(self) -> dict[str, Any]:
        clean, same = self._each("--scans", str(SCANS), "--period", "50ms")
        steps = {"clean": same}
        tampers: dict[str, dict[str, Any]] = {name: {} for name in self._names}
        found: dict[str, Any] = {"clean": {n: clean_of(*clean[n]) for n in self._names}}
        if self._kernels:
            kernel = next(iter(self._kernels.values()))
            found |= self._place(kernel)
            guest = LiveGuest(self._target, kernel, self._profiles)
            for change in self._row.tampers:
                runs, steps[change.name] = self._tampered(guest, change)
                for name, (status, records) in runs.items():
                    tampers[name][change.name] = tampered_of(change, status, records, self._profiles)
        after, steps["after"] = self._each("--scans", str(_AFTER), "--period", "50ms")
        found["after"] = {n: clean_of(*after[n]) for n in self._names}
        return found | {
            "tampers": tampers,
            "same": steps,
            "find_us": self._find_us,
            "release": self._target.release,
            "xen": xen_of(self._lab.console_log),
        }

    def _place(self, kernel: dict[str, Any]) -> dict[str, Any]:
        """Where a monitor found the kernel, held against what the guest itself says."""
        said = self._target.run("sed -n 's/ T _text$//p' /proc/kallsyms").check().out.strip()
        return {
            "levels": kernel["levels"],
            "where_it_says": int(said, 16) == int(kernel["text_va"], 16),
            # One boot in 500 puts it where it was linked, for each of the two addresses.
            "moved": int(kernel["delta"], 16) != 0,
        }

    def _tampered(self, guest: LiveGuest, change: Change) -> tuple[dict[str, tuple[int, Records]], bool]:
        """The target stands still meanwhile: so it is the same for each monitor, and harmed by none of it."""
        self._target.pause()
        undo = change.apply(guest)
        try:
            return self._each("--scans", "1")
        finally:
            undo()
            self._target.unpause()

    def _each(self, *options: str) -> tuple[dict[str, tuple[int, Records]], bool]:
        """(exit status, records) of a run of each monitor, and whether all said the same."""
        runs: dict[str, tuple[int, Records]] = {}
        for name in self._names:
            try:
                runs[name] = bases.launch(self._lab, name, *options)
            except AssertionError as broken:  # of the stream: a failure of the monitor, and no lab's
                self._lab.progress.warn(f"{name}: {broken}")
                runs[name] = (int(Exit.MONITOR_LOST), [])
            for record in runs[name][1]:
                if record["t"] == "kernel":
                    self._find_us[name].append(record["us"])
                    self._kernels.setdefault(name, record)
        told = [(status, bases.comparable(records)) for status, records in runs.values()]
        return runs, bool(told[0][1]) and all(one == told[0] for one in told)


def clean_of(status: int, records: Records) -> dict[str, Any]:
    """Of a run over a clean target: its exit status, how many scans said intact, what was compared."""
    beats = [r for r in records if r["t"] == "heartbeat"]
    scans = {r["scan"] for r in beats if r["verdict"] == "intact"}
    return {
        "status": status,
        "scans": len(scans - {r["scan"] for r in beats if r["verdict"] != "intact"} - {0}),
        "findings": sum(r["t"] == "finding" for r in records),
        "units": {r["check"]: r["units"] for r in records if r["t"] == "check" and r["verdict"] == "intact"},
        "rev": next((r.get("base_rev", "") for r in records if r["t"] == "hello"), ""),
    }


def tampered_of(change: Change, status: int, records: Records, profiles: ProfileFile) -> dict[str, Any]:
    """Of a run over a tampered target: its exit status, which checks have findings, where the first is."""
    explainer = Explainer(profiles)
    at = ""
    for record in records:
        explainer.see(record)
        if record["t"] == "finding" and record["check"] == change.caught_by and not at:
            at = explainer.finding(record).symbol or record["symbol"]
    return {
        "status": status,
        "by": sorted({r["check"] for r in records if r["t"] == "finding"}),
        "at": at,
    }


def xen_of(console: str) -> str:
    """The version that Xen says of itself as it boots."""
    found = re.search(r"Xen version (\S+)", console)
    return found[1] if found else "?"
