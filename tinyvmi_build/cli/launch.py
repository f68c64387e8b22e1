"""`tinyvmi-build launch`: start a monitor on this dom0 and report what it says."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from tinyvmi_build.cli.options import PATH, DurationType, Verb
from tinyvmi_build.progress import Progress


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
@click.option("--costs", is_flag=True, help="Tell what each check of each scan costs.")
@click.option("--keep", is_flag=True, help="Leave the monitor's domain when launch ends.")
@click.pass_obj
def command(
    progress: Progress,
    folder: Path,
    target: str | None,
    scans: int,
    period: int | None,
    timeout: int | None,
    as_json: bool,
    once: bool,
    costs: bool,
    keep: bool,
) -> int:
    """Start the monitor in the build folder DIR on this Xen host and report what it says.

    DIR is what `build` made, e.g. build/guest, or a copy of it without
    generated/ and meson/. Needs root in dom0; nothing is installed or changed
    there. Without --scans it runs until Ctrl-C, which ends the monitor too.

    A target given by name is waited for, and followed when it is restarted,
    restored or migrated in. A number means that domain alone.

    \b
    Examples:
      tinyvmi-build launch build/guest --target guest
      tinyvmi-build launch build/guest --target 7 --scans 1
      tinyvmi-build launch build/guest --period 500ms --json | jq .
    """
    from tinyvmi_build.explain.explainer import Explainer
    from tinyvmi_build.records.collector import Collector, exit_of_runs
    from tinyvmi_build.report.report import JsonLines, Terminal
    from tinyvmi_build.xen.folder import read_manifest
    from tinyvmi_build.xen.follow import launch
    from tinyvmi_build.xen.launch import Options

    manifest = read_manifest(folder)
    explainer = Explainer(_profiles(manifest.profile, progress))
    reporter = JsonLines(sys.stdout, explainer) if as_json else Terminal(sys.stdout, explainer)
    options = Options(
        target=target,
        scans=scans,
        period_ms=period,
        timeout_s=None if timeout is None else timeout / 1000,
        keep=keep,
        once=once,
        costs=costs,
    )
    # A service manager's stop must end the monitor's domain too, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    runs = launch(manifest, options, reporter, progress)
    reporter.close(runs[-1] if runs else Collector(), runs[:-1])
    return int(exit_of_runs(runs))


def _profiles(path: Path, progress: Progress):  # type: ignore[no-untyped-def]
    """The profile beside the image: it only names symbols, so the run does without a broken one."""
    from tinyvmi_build.errors import TinyVMIError
    from tinyvmi_build.profile.profile import ProfileFile

    try:
        return ProfileFile.load(path)
    except TinyVMIError as error:
        progress.warn(f"findings will name fewer symbols: {error.message}")
        return None
