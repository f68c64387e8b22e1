"""Starts a monitor's domain for a target and listens to it until it ends or is lost."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector, Expected
from tinyvmi_build.report.reporter import Attached, RunReporter
from tinyvmi_build.safe_text import safe
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import store, xl
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.folder import Manifest
from tinyvmi_build.xen.listen import Listener
from tinyvmi_build.xen.ownership import Lock, Owner, Rival, monitor_lock, rivals, target_lock
from tinyvmi_build.xen.privilege import set_target
from tinyvmi_build.xen.stop import Stop
from tinyvmi_build.xen.watch import Watch

_START_S = 30.0  # until the monitor's first record
_SILENCE_LEAST_S = 20.0  # a scan may take longer than a heartbeat, most of all under emulation


@dataclass(frozen=True)
class Options:
    """What the command line decides.  0 scans is for ever; None means as in the manifest."""

    target: str | None = None
    scans: int = 0
    period_ms: int | None = None
    timeout_s: float | None = None
    keep: bool = False
    costs: bool = False  # the monitor reports what each check of each scan costs
    once: bool = False  # end with the target's domain, even if it is named
    replace: bool = False  # destroy the monitor that an earlier launch has left
    status_every_s: float = 0.0  # report that nothing has changed; 0 is never


def run_once(
    manifest: Manifest, options: Options, reporter: RunReporter, progress: Progress, running: list[xl.Domain]
) -> Collector:
    """Run one monitor over the target among the domains `running`; the collector with all its records."""
    with Launcher(manifest, options, reporter, progress) as launcher:
        return launcher.run(options, running)


class Launcher:
    """Runs monitors of one build folder, one after the other.  No other launch of that name can meanwhile."""

    def __init__(
        self,
        manifest: Manifest,
        options: Options,
        reporter: RunReporter,
        progress: Progress,
        stop: Stop | None = None,
    ):
        self._manifest, self._options = manifest, options
        self._reporter, self._progress = reporter, progress
        self._stop = stop or Stop()
        name = xl.config_name(manifest.config)
        if name is None:
            raise UsageError(f"{manifest.config} names no domain", hint="build the monitor again")
        self._name = name
        self._left = False  # a domain of ours is, or may be

    def __enter__(self) -> Launcher:
        self._lock = monitor_lock(self._name)
        last = self._lock.last_owner
        self._left = bool(last and last.nonce)
        wanted = self._options.target or self._manifest.target
        self._lock.note(Owner(os.getpid(), last.nonce if last else "", self._name, wanted))
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release(keep_owner=self._left)

    def run(self, options: Options, running: list[xl.Domain]) -> Collector:
        """One monitor over the target among the domains `running`.

        Raises MissingEnvironmentError if it cannot be started.  Its domain is destroyed at the end,
        whatever the end is, unless `options.keep`.
        """
        target = find_target(options.target or self._manifest.target, running)
        lock = target_lock(target)
        self._left = True
        try:
            for rival in rivals(self._name, target, running, (self._lock, lock)):
                self._make_way(rival, target)
            self._left = False
            return self._run(options, target, lock)
        finally:
            lock.release(keep_owner=self._left)

    def clear(self) -> None:
        """Destroy the domain of the run before, if it was to be kept: the next one needs its name."""
        left = xl.find_domain(self._name)
        if left is not None:
            xl.destroy(left.domid)
        self._left = False

    def _make_way(self, rival: Rival, target: xl.Domain) -> None:
        name, domid = safe(rival.domain.name), rival.domain.domid
        if not rival.ours and rival.domain.name != self._name:
            # A guest writes what it likes into its own part of xenstore: it must not prevent this launch.
            self._progress.warn(
                f"domain '{name}' (number {domid}) claims to watch '{safe(target.name)}', but no launch of"
                " this host has started it"
            )
            return
        if not rival.ours:
            raise MissingEnvironmentError(
                f"a domain '{name}' (number {domid}) exists already, and no launch of this host has"
                " started it",
                hint="`xl list` and `xl console` show what it is",
            )
        if not self._options.replace:
            raise MissingEnvironmentError(
                f"the monitor '{name}' (domain {domid}) is left over: the launch that started it has ended",
                hint="--replace destroys it and starts anew",
            )
        xl.destroy(domid)
        self._progress.note(f"destroyed the monitor '{name}' (domain {domid}) of a launch that has ended")

    def _run(self, options: Options, target: xl.Domain, lock: Lock) -> Collector:
        nonce = secrets.token_hex(8)
        owner = Owner(os.getpid(), nonce, self._name, target.name)
        self._lock.note(owner)
        lock.note(owner)
        self._left = True
        domid = self._create()
        done = False
        try:
            if self._manifest.privilege == "target":  # in FLASK mode the labels of both are the privilege
                set_target(domid, target.domid)
            self._pass(domid, options, target.domid, nonce)
            with Console(domid) as console:
                self._progress.note(
                    f"monitor is domain {domid}, target {safe(target.name)} is domain {target.domid}"
                )
                self._reporter.attached(Attached(target.name, target.domid, domid))
                collector = self._listen(console, domid, options, target, nonce)
            done = True
            return collector
        finally:
            with self._stop.shielded():
                if not options.keep:
                    xl.destroy(domid)
                    self._left = False
                elif done:
                    self._progress.note(f"domain {domid} is kept: `xl destroy {domid}` ends it")

    def _listen(
        self, console: Console, domid: int, options: Options, target: xl.Domain, nonce: str
    ) -> Collector:
        watch = Watch(domid)
        manifest = self._manifest
        try:
            if not self._stop.requested:
                self._unpause(domid)
            expected = Expected(
                image=manifest.image_id,
                target=target.domid,
                checks=manifest.checks,
                start_s=timeout(_START_S),
                silence_s=timeout(max(3 * manifest.heartbeat_ms / 1000, _SILENCE_LEAST_S)),
            )
            collector = Collector(nonce, expected)
            listener = Listener(collector, self._reporter, manifest.schedule(options.period_ms), self._stop)
            listener.listen(console, watch, options.timeout_s, options.status_every_s)
            return collector
        finally:
            watch.close()

    def _unpause(self, domid: int) -> None:
        try:
            xl.unpause(domid)
        except MissingEnvironmentError:
            if not self._stop.requested:  # else the signal ended xl, too: it is in our process group
                raise

    def _create(self) -> int:
        try:
            xl.create_paused(self._manifest.config)
        except KeyboardInterrupt:  # xl was killed, and leaves what it has made so far
            with self._stop.shielded():
                half_made = xl.find_domain(self._name)
                if half_made is not None:
                    xl.destroy(half_made.domid)
            raise
        domain = xl.find_domain(self._name)
        if domain is None:
            raise MissingEnvironmentError(
                f"domain '{safe(self._name)}' vanished right after its creation", hint="see `xl dmesg`"
            )
        return domain.domid

    def _pass(self, domid: int, options: Options, target: int, nonce: str) -> None:
        """Write the monitor's parameters to xenstore (docs/reference/launch.md, "xenstore")."""
        values = {
            "run": nonce,
            "period-ms": str(options.period_ms or self._manifest.period_ms),
            "jitter-pct": str(self._manifest.jitter_pct),
            "heartbeat-ms": str(self._manifest.heartbeat_ms),
            "scans": str(options.scans),
            **({"costs": "1"} if options.costs else {}),
            "target": str(target),  # the last: it is what the monitor waits for
        }
        store.write({f"/local/domain/{domid}/data/tinyvmi/{key}": value for key, value in values.items()})


def find_target(name: str, running: list[xl.Domain]) -> xl.Domain:
    """The domain `name` (or number); MissingEnvironmentError or UsageError if it cannot be watched."""
    if not name:
        raise UsageError("no target is configured", hint="--target NAME, or domain = NAME under [target]")
    domain = xl.find_domain(name, running)
    if domain is None:
        known = ", ".join(safe(d.name) for d in running if d.domid != 0) or "none but dom0"
        raise MissingEnvironmentError(
            f"there is no domain '{safe(name)}' to watch",
            hint=f"--target takes a name or number; running: {known}",
        )
    if domain.domid == 0:
        raise UsageError("dom0 cannot be a target", hint="give a guest's name or number to --target")
    if domain.gone:
        raise MissingEnvironmentError(f"domain '{safe(name)}' does not run any more (state {domain.state})")
    return domain
