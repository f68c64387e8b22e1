"""`tinyvmi-build bench`: the monitor beside the best that dom0 can do."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import PATH, Verb, project_options
from tinyvmi_build.progress import Progress

if TYPE_CHECKING:
    from tinyvmi_build.bench.result import Result


@click.command("bench", cls=Verb)
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Of all, in turn.")
@click.option(
    "--scans",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="In a round, from the third on.",
)
@click.option("--icount", is_flag=True, help="Count instructions first, in a boot of its own.")
@click.option("--only-icount", is_flag=True, help="Count instructions, and leave wall-clock time.")
@click.option("--avx2", is_flag=True, help="On an emulated processor with AVX2, not on a plain one.")
@click.option(
    "--quick", is_flag=True, help="The comparison alone: no latency, slow-down, growth, build times."
)
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object instead of tables.")
@click.option("--plot", metavar="FILE.svg", type=PATH, help="Draw it, too.")
@click.option(
    "--doc",
    metavar="FILE.md",
    type=PATH,
    help="Write it as a document, too.",
)
@click.option(
    "--from",
    "sources",
    metavar="FILE.json",
    multiple=True,
    type=PATH,
    help="Show these figures; may be repeated.",
)
@click.option(
    "--libvmi",
    metavar="PREFIX",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Compare with the LibVMI installed there, too.",
)
@click.option("--host", is_flag=True, help="On this Xen host itself, in its dom0, instead of the lab.")
@click.option("--target", metavar="DOM", help="With --host: the running domain, name or number.")
@click.option("--no-pause", is_flag=True, help="With --host: let the target run meanwhile.")
@click.option("--keep", is_flag=True, help="Keep the lab's folder with all logs.")
@project_options
@click.pass_obj
def command(progress: Progress, /, project: Path | None, sets: tuple[str, ...], **options: Any) -> int:
    """Measure the monitor beside the same checks done in dom0, in one boot of the nested lab.

    The rows of a table come from one boot and the same target, which stands
    still; all that is compared takes turns. An emulator's figures show how much
    work something is. They are not times of silicon.

    \b
    Examples:
      tinyvmi-build bench
      tinyvmi-build bench --icount --plot bench.svg --doc docs/results/performance.md
      tinyvmi-build bench --only-icount --quick --json > bench.json
      tinyvmi-build bench --from bench.json
      tinyvmi-build bench --host --target web1 -c web1/
    """
    asked = BenchCommand(**options)
    if asked.host != (asked.target is not None):
        raise click.UsageError("--host and --target belong together")
    return _bench(progress, project, sets, asked)


@dataclass(frozen=True)
class BenchCommand:
    """The options of the command line."""

    rounds: int
    scans: int
    icount: bool
    only_icount: bool
    avx2: bool
    quick: bool
    as_json: bool
    plot: Path | None
    doc: Path | None
    sources: tuple[Path, ...]
    libvmi: Path | None
    host: bool
    target: str | None
    no_pause: bool
    keep: bool


def _bench(progress: Progress, project: Path | None, sets: tuple[str, ...], asked: BenchCommand) -> int:
    from tinyvmi_build.bench.document import document, plot
    from tinyvmi_build.files import require_writable, write_file

    for output in filter(None, (asked.plot, asked.doc)):
        require_writable(output)
    result = _result(progress, project, sets, asked)
    if asked.plot is not None:
        write_file(asked.plot, plot(result))
    if asked.doc is not None:
        write_file(asked.doc, document(result, asked.plot.name if asked.plot else None))
    if asked.as_json:
        click.echo(json_output.line("bench", asdict(result)))
    else:
        _show(result, progress)
    return 0


def _result(progress: Progress, project: Path | None, sets: tuple[str, ...], asked: BenchCommand) -> Result:
    """What was measured before, or what is measured now."""
    from tinyvmi_build.bench.options import HostOptions, LabOptions
    from tinyvmi_build.bench.result import ICOUNT, WALL, Result
    from tinyvmi_build.files import RESULT, read_text

    if asked.sources:
        return Result.joined([Result.parse(read_text(source, RESULT)) for source in asked.sources])
    # As it can be repeated on another machine, which has other folders.
    typed = [Path(w).name if "/" in w else w for w in sys.argv[1:] if w != "--keep"]
    every = (shlex.join(["tinyvmi-build", *typed]), asked.rounds, asked.scans, asked.libvmi)
    if asked.target is not None:
        from tinyvmi_build.bench.host import measure_host

        host = HostOptions(*every, target=asked.target, pause=not asked.no_pause)
        return measure_host(project, sets, host, progress)
    from tinyvmi_build.bench.end_to_end import measure
    from tinyvmi_build.timeouts import calibrate

    calibrate()
    clocks = ((ICOUNT,) if asked.icount or asked.only_icount else ()) + (() if asked.only_icount else (WALL,))
    lab = LabOptions(*every, clocks=clocks, avx2=asked.avx2, quick=asked.quick, keep=asked.keep)
    return measure(project, sets, lab, progress)


def _show(result: Result, progress: Progress) -> None:
    from tinyvmi_build.bench.report import FOOT, tables
    from tinyvmi_build.bench.result import HOST

    for table in tables(result):
        click.echo(table.text())
    for run in result.runs:
        for failure in run.failed:
            progress.warn(f"{run.clock}: {failure}")
    for absent in result.absent:
        progress.note(f"not measured: {absent}")
    if any(run.clock != HOST for run in result.runs):
        click.echo(FOOT)
