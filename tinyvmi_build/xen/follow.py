"""Follows a target through its restarts: each of its domains gets a monitor of its own.

A target that reboots, crashes and is restarted, is restored or migrated in comes back under its name
and a new number.  Xen gives a domain one target for good (XEN_DOMCTL_set_target), so the monitor is
replaced, not attached again.
"""

from __future__ import annotations

import time
from dataclasses import replace

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.report.reporter import RunReporter
from tinyvmi_build.safe_text import safe
from tinyvmi_build.xen import xl
from tinyvmi_build.xen.folder import Manifest
from tinyvmi_build.xen.launch import Launcher, Options, find_target
from tinyvmi_build.xen.stop import Stop
from tinyvmi_build.xen.watch import Hint

_ASK_S = 5.0  # between two questions for a domain whose coming xenstored did not announce
_TICK_S = 0.5  # between two glances at `stop`
_TARGET_ENDED = ("target-gone", "no-target")  # reasons of a bye


def launch(
    manifest: Manifest, options: Options, reporter: RunReporter, progress: Progress, stop: Stop | None = None
) -> list[Collector]:
    """Run monitors for the target until the run is over; a collector for each, the last one last.

    A target given by name is waited for and followed unless `options.once` or a number of scans say
    otherwise.  Then there is one run, and MissingEnvironmentError if the target is not there.  An empty
    list: the time was up, or the run was asked to end, before the target came.
    """
    xl.require_dom0()
    stop = stop or Stop()
    with Launcher(manifest, options, reporter, progress, stop) as launcher:
        name = options.target or manifest.target
        if options.once or options.scans or not name or name.isdigit():
            return [launcher.run(options, xl.domains())]
        return _follow(launcher, name, options, reporter, _Wait(progress, stop))


class _Wait:
    """Waits for a target."""

    def __init__(self, progress: Progress, stop: Stop):
        self._progress, self._stop = progress, stop

    def until_running(self, name: str, deadline: float | None) -> list[xl.Domain] | None:
        """The domains once a running one has that `name`; None if the deadline or a signal came first."""
        noted = False
        hint = Hint("@introduceDomain")
        try:
            while not self._stop.requested:
                running = xl.domains()
                if _running(name, running) is not None:
                    return running
                if not noted:
                    self._progress.note(f"waiting for a domain '{safe(name)}'")
                    noted = True
                ask_at = time.monotonic() + _ASK_S
                if deadline is not None:
                    ask_at = min(ask_at, deadline)
                    if time.monotonic() >= deadline:
                        return None
                while not self._stop.requested and (left := ask_at - time.monotonic()) > 0:
                    if hint.fired(min(_TICK_S, left)):
                        break
            return None
        finally:
            hint.close()


def _follow(
    launcher: Launcher, name: str, options: Options, reporter: RunReporter, wait: _Wait
) -> list[Collector]:
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    runs: list[Collector] = []
    while True:
        running = wait.until_running(name, deadline)
        if running is None:
            return runs
        left = None if deadline is None else max(0.1, deadline - time.monotonic())
        try:
            collector = launcher.run(replace(options, timeout_s=left), running)
        except MissingEnvironmentError:
            if _running(name, xl.domains()) == _running(name, running):
                raise
            continue  # it went while its monitor was being made; perhaps the next has come
        runs.append(collector)
        if collector.lost_reason is not None or not _target_ended(collector):
            return runs
        if collector.bye and collector.bye.reason == "no-target":
            runs.pop()  # it ended before anything was checked
        else:
            reporter.detached(collector)
        launcher.clear()


def _target_ended(collector: Collector) -> bool:
    return collector.bye is not None and collector.bye.reason in _TARGET_ENDED


def _running(name: str, running: list[xl.Domain]) -> int | None:
    """The number of the domain that can be watched under that name."""
    try:
        return find_target(name, running).domid
    except MissingEnvironmentError:
        return None
