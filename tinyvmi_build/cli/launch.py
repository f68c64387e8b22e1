"""`tinyvmi-build launch`: start a monitor on this dom0 and report what it finds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyvmi_build.cli.options import PATH, DurationType, Verb
from tinyvmi_build.progress import Progress

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import ProfileFile
    from tinyvmi_build.xen.stop import Stop


@click.command("launch", cls=Verb)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--target", metavar="DOM", help="Domain to watch, name or number (default: as configured).")
@click.option("--scans", type=click.IntRange(0, 2**32 - 1), default=0, help="End after N scans (0: never).")
@click.option(
    "--period",
    type=DurationType(10, 86_400_000),
    help="Time from scan to scan, e.g. 1.5s (default: as configured).",
)
@click.option("--timeout", type=DurationType(1, 31_536_000_000), help="Stop after this time, e.g. 2min.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.option("--once", is_flag=True, help="End with the target's domain instead of waiting for its next.")
@click.option("--replace", is_flag=True, help="Destroy the monitor of a launch that was killed, first.")
@click.option("--costs", is_flag=True, help="Report what each check of each scan costs.")
@click.option("--keep", is_flag=True, help="Leave the monitor's domain when launch ends.")
@click.option(
    "--status-every",
    "status_every",
    type=DurationType(0, 31_536_000_000),
    default="1h",
    show_default=True,
    help="Report so often that nothing has changed (0s: never).",
)
@click.pass_obj
def command(progress: Progress, /, folder: Path, **options: Any) -> int:
    """Start the monitor in the build folder DIR on this Xen host and report what it finds.

    DIR is what `build` made, e.g. build/guest, or a copy of it without
    generated/ and meson/. Needs root in dom0; nothing is installed or changed
    there. Without --scans it runs until Ctrl-C, SIGTERM or SIGHUP.

    A target given by name is waited for, and followed when it is restarted,
    restored or migrated in. A number means that domain alone. A monitor and a
    target have one launch at a time.

    \b
    Exit status:
      0    intact in all scans
      3    something could not be verified, or nothing was checked
      4    it could not be started
      5    tampered, in any scan
      6    the monitor was lost: it crashed, fell silent, or the --timeout came
      130  it was asked to end before anything was checked, or asked twice
    A launch that is asked to end by a signal ends with the verdict of what was
    checked until then.

    \b
    Examples:
      tinyvmi-build launch build/guest --target guest
      tinyvmi-build launch build/guest --target 7 --scans 1
      tinyvmi-build launch build/guest --period 500ms --json | jq .
    """
    from tinyvmi_build.xen.stop import Stop

    with Stop().installed() as stop:
        return _launch(progress, folder, LaunchOptions(**options), stop)


@dataclass(frozen=True)
class LaunchOptions:
    """The options of the command line; times in milliseconds."""

    target: str | None
    scans: int
    period: int | None
    timeout: int | None
    as_json: bool
    once: bool
    replace: bool
    costs: bool
    keep: bool
    status_every: int


def _launch(progress: Progress, folder: Path, asked: LaunchOptions, stop: Stop) -> int:
    from tinyvmi_build.explain.explainer import Explainer
    from tinyvmi_build.records.collector import Collector, exit_of_runs
    from tinyvmi_build.report.json_lines import JsonLines
    from tinyvmi_build.report.stamp import Stamp
    from tinyvmi_build.report.terminal import Terminal
    from tinyvmi_build.xen.folder import read_manifest
    from tinyvmi_build.xen.follow import launch
    from tinyvmi_build.xen.launch import Options

    manifest = read_manifest(folder)
    stamp = Stamp(asked.target or manifest.target)
    progress.prefix = stamp.line
    explainer = Explainer(_profiles(manifest.profile, progress))
    reporter: JsonLines | Terminal
    if asked.as_json:
        reporter = JsonLines(sys.stdout, explainer, stamp=stamp)
    else:
        reporter = Terminal(sys.stdout, explainer, stamp=stamp)
    options = Options(
        target=asked.target,
        scans=asked.scans,
        period_ms=asked.period,
        timeout_s=None if asked.timeout is None else asked.timeout / 1000,
        keep=asked.keep,
        once=asked.once,
        costs=asked.costs,
        replace=asked.replace,
        status_every_s=asked.status_every / 1000,
    )
    runs = launch(manifest, options, reporter, progress, stop)
    if not runs:
        runs = [Collector()]
        if stop.reason is not None:
            reporter.events(runs[0].stopped(stop.reason))
    reporter.close(runs[-1], runs[:-1])
    return int(exit_of_runs(runs))


def _profiles(path: Path, progress: Progress) -> ProfileFile | None:
    """The profile beside the image: it only names symbols, so the run does without a broken one."""
    from tinyvmi_build.errors import TinyVMIError
    from tinyvmi_build.profile.profile import ProfileFile

    try:
        return ProfileFile.load(path)
    except TinyVMIError as error:
        progress.warn(f"findings will name fewer symbols: {error.message}")
        return None
