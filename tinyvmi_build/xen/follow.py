"""Follows a target through its life: each of its domains gets a monitor of its own.

A target that reboots, crashes and is restarted, is restored or migrated in
comes back under its name and a new number.  Xen gives a domain one target for
good (XEN_DOMCTL_set_target), so the monitor is replaced, not attached again.
"""

from __future__ import annotations

import time
from dataclasses import replace

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.folder import Manifest
from tinyvmi_build.xen.launch import Options, RunReporter, find_target, run_once
from tinyvmi_build.xen.watch import Hint

_LOOK_S = 5.0  # between two looks for a domain whose coming xenstored did not tell
_TARGET_ENDED = ("target-gone", "no-target")  # reasons of a bye


def launch(
    manifest: Manifest, options: Options, reporter: RunReporter, progress: Progress
) -> list[Collector]:
    """Run monitors for the target until the run is over; what each of them said, the last one last.

    A target given by name is waited for and followed unless `options.once` or
    a number of scans say otherwise.  Then there is one run, and
    MissingEnvironmentError if the target is not there.  An empty list: the time was
    up before the target came.
    """
    xl.require_dom0()
    name = options.target or manifest.target
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    if options.once or options.scans or not name or name.isdigit():
        return [run_once(manifest, options, reporter, progress, xl.domains())]

    runs: list[Collector] = []
    while True:
        running = _wait(name, deadline, progress)
        if running is None:
            return runs
        left = None if deadline is None else max(0.1, deadline - time.monotonic())
        try:
            collector = run_once(manifest, replace(options, timeout_s=left), reporter, progress, running)
        except MissingEnvironmentError:
            if _running(name, xl.domains()) == _running(name, running):
                raise
            continue  # it went while its monitor was being made; perhaps the next has come
        runs.append(collector)
        if collector.lost_reason is not None or not _target_ended(collector):
            return runs
        if collector.bye and collector.bye["reason"] == "no-target":
            runs.pop()  # it went before anything could be said of it
        else:
            reporter.detached(collector)
        _clear(manifest)


def _target_ended(collector: Collector) -> bool:
    return collector.bye is not None and collector.bye["reason"] in _TARGET_ENDED


def _wait(name: str, deadline: float | None, progress: Progress) -> list[xl.Domain] | None:
    """The domains once a running one has that `name`; None if the deadline came first."""
    told = False
    hint = Hint("@introduceDomain")
    try:
        while True:
            running = xl.domains()
            if _running(name, running) is not None:
                return running
            if not told:
                progress.note(f"waiting for a domain '{name}'")
                told = True
            left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
            if left <= 0:
                return None
            hint.fired(left)
    finally:
        hint.close()


def _running(name: str, running: list[xl.Domain]) -> int | None:
    """The number of the domain that can be watched under that name."""
    try:
        return find_target(name, running).domid
    except MissingEnvironmentError:
        return None


def _clear(manifest: Manifest) -> None:
    """The domain of the run before, if it was to be kept: the next one needs its name."""
    left = xl.find_domain(xl.config_name(manifest.config) or "")
    if left is not None:
        xl.destroy(left.domid)
