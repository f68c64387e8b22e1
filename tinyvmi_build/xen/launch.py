"""Starts a monitor's domain for a target and listens to it until it ends or is lost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.collector import Collector, Event
from tinyvmi_build.records.protocol import LineSplitter
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import store, xl
from tinyvmi_build.xen.console import Console
from tinyvmi_build.xen.folder import Manifest
from tinyvmi_build.xen.privilege import set_target
from tinyvmi_build.xen.watch import Watch

_START_S = 30.0  # until the monitor's first record
_SILENCE_LEAST_S = 20.0  # a scan may take longer than a heartbeat, most of all under emulation
_LAST_WORDS_S = 1.0  # xenconsoled may still hold some when the domain has ended


class Reporter(Protocol):
    """verdict.report.Terminal or JsonLines."""

    def events(self, events: Iterable[Event], /) -> None: ...


class RunReporter(Reporter, Protocol):
    """A reporter that tells one run from the next."""

    def attached(self, name: str, target: int, monitor: int, /) -> None:
        """A monitor, in domain `monitor`, is about to watch domain `target`."""

    def detached(self, collector: Collector, /) -> None:
        """That run has ended with its target, and another one will follow."""


@dataclass(frozen=True)
class Options:
    """What the command line decides.  0 scans is for ever; None keeps what the manifest says."""

    target: str | None = None
    scans: int = 0
    period_ms: int | None = None
    timeout_s: float | None = None
    keep: bool = False
    costs: bool = False  # the monitor tells what each check of each scan costs
    once: bool = False  # end with the target's domain, even if it is named


def run_once(
    manifest: Manifest, options: Options, reporter: RunReporter, progress: Progress, running: list[xl.Domain]
) -> Collector:
    """Run one monitor over the target among the domains `running`; the collector with everything it said.

    Raises MissingEnvironmentError if it cannot be started.  Its domain is destroyed
    at the end, whatever the end is, unless `options.keep`.
    """
    target = find_target(options.target or manifest.target, running)
    nonce = secrets.token_hex(8)
    domid = _create(manifest, running)
    done = False
    try:
        if manifest.privilege == "target":  # in FLASK mode the labels of both domains are the privilege
            set_target(domid, target.domid)
        _tell(domid, manifest, options, target.domid, nonce)
        with Console(domid) as console:
            progress.note(f"monitor is domain {domid}, target {target.name} is domain {target.domid}")
            reporter.attached(target.name, target.domid, domid)
            watch = Watch(domid)
            try:
                xl.unpause(domid)
                collector = Collector(
                    run=nonce,
                    image=manifest.image_id,
                    target=target.domid,
                    checks=manifest.checks,
                    start_s=timeout(_START_S),
                    silence_s=timeout(max(3 * manifest.heartbeat_ms / 1000, _SILENCE_LEAST_S)),
                    rhythm=manifest.rhythm(options.period_ms),
                )
                _listen(collector, console, watch, options, reporter)
            finally:
                watch.close()
        done = True
        return collector
    finally:
        if not options.keep:
            xl.destroy(domid)
        elif done:
            progress.note(f"domain {domid} is kept: `xl destroy {domid}` ends it")


def find_target(name: str, running: list[xl.Domain]) -> xl.Domain:
    """The domain `name` (or number); MissingEnvironmentError or UsageError if it cannot be watched."""
    if not name:
        raise UsageError("no target is configured", hint="--target NAME, or domain = NAME under [target]")
    domain = xl.find_domain(name, running)
    if domain is None:
        known = ", ".join(d.name for d in running if d.domid != 0) or "none but dom0"
        raise MissingEnvironmentError(
            f"there is no domain '{name}' to watch", hint=f"--target takes a name or number; running: {known}"
        )
    if domain.domid == 0:
        raise UsageError("dom0 cannot be a target", hint="give a guest's name or number to --target")
    if domain.gone:
        raise MissingEnvironmentError(f"domain '{name}' does not run any more (state {domain.state})")
    return domain


def _create(manifest: Manifest, running: list[xl.Domain]) -> int:
    name = xl.config_name(manifest.config)
    if name is None:
        raise UsageError(f"{manifest.config} names no domain", hint="build the monitor again")
    there = xl.find_domain(name, running)
    if there is not None:
        raise MissingEnvironmentError(
            f"a domain '{name}' exists already (number {there.domid})",
            hint=f"`xl destroy {there.domid}` if it is left over from an earlier run",
        )
    try:
        xl.create_paused(manifest.config)
    except KeyboardInterrupt:
        # xl is in our process group, so it was interrupted too, and leaves what it has made so far.
        half_made = xl.find_domain(name)
        if half_made is not None:
            xl.destroy(half_made.domid)
        raise
    domain = xl.find_domain(name)
    if domain is None:
        raise MissingEnvironmentError(
            f"domain '{name}' vanished right after its creation", hint="see `xl dmesg`"
        )
    return domain.domid


def _tell(domid: int, manifest: Manifest, options: Options, target: int, nonce: str) -> None:
    """What docs/design/architecture.md calls "What launch tells a monitor"."""
    values = {
        "run": nonce,
        "period-ms": str(options.period_ms or manifest.period_ms),
        "jitter-pct": str(manifest.jitter_pct),
        "heartbeat-ms": str(manifest.heartbeat_ms),
        "scans": str(options.scans),
        **({"costs": "1"} if options.costs else {}),
        "target": str(target),  # the last: it is what the monitor waits for
    }
    store.write({f"/local/domain/{domid}/data/tinyvmi/{key}": value for key, value in values.items()})


def _listen(
    collector: Collector, console: Console, watch: Watch, options: Options, reporter: Reporter
) -> None:
    lines = LineSplitter()
    deadline = None if options.timeout_s is None else time.monotonic() + options.timeout_s
    ended: str | None = None
    ended_at = 0.0

    def take(pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            reporter.events(collector.feed(piece))

    while True:
        waits = [0.5, collector.remaining(), None if deadline is None else deadline - time.monotonic()]
        chunk = console.read(min(w for w in waits if w is not None) if ended is None else 0.1)
        if chunk:
            take(lines.feed(chunk))
        if collector.bye is not None or collector.lost_reason is not None:
            return
        if deadline is not None and time.monotonic() >= deadline:
            reporter.events(collector.lost(f"the time is up ({options.timeout_s:g} s)"))
            return
        if ended is None:
            # Chatter is no sign of life: the clock is looked at whether something came or not.
            reporter.events(collector.tick())
            if not chunk:
                ended = watch.ended() or ("its console closed" if chunk is None else None)
                ended_at = time.monotonic()
        elif not chunk and (chunk is None or time.monotonic() > ended_at + timeout(_LAST_WORDS_S)):
            take(lines.flush())
            if collector.bye is None:
                reporter.events(collector.lost(ended))
            return
