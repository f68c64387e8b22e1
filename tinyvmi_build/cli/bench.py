"""`tinyvmi-build bench`: the monitor beside the best that dom0 can do."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path

import click

from tinyvmi_build import json_output
from tinyvmi_build.cli.options import PATH, Verb, project_options
from tinyvmi_build.progress import Progress


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
def command(
    progress: Progress,
    rounds: int,
    scans: int,
    icount: bool,
    only_icount: bool,
    avx2: bool,
    quick: bool,
    as_json: bool,
    plot: Path | None,
    doc: Path | None,
    sources: tuple[Path, ...],
    libvmi: Path | None,
    host: bool,
    target: str | None,
    no_pause: bool,
    keep: bool,
    project: Path | None,
    sets: tuple[str, ...],
) -> int:
    """Measure the monitor beside the same checks done in dom0, in one boot of the nested lab.

    The rows of a table come from one boot and the same target, which stands
    still; all that is compared takes turns. An emulator's figures show how much
    work something is and are no times of silicon.

    \b
    Examples:
      tinyvmi-build bench
      tinyvmi-build bench --icount --plot bench.svg --doc docs/results/performance.md
      tinyvmi-build bench --only-icount --quick --json > bench.json
      tinyvmi-build bench --from bench.json
      tinyvmi-build bench --host --target web1 -c web1/
    """
    from tinyvmi_build.bench.document import document
    from tinyvmi_build.bench.document import plot as draw
    from tinyvmi_build.bench.end_to_end import measure
    from tinyvmi_build.bench.options import HostOptions, LabOptions
    from tinyvmi_build.bench.report import FOOT, tables
    from tinyvmi_build.bench.result import HOST, ICOUNT, WALL, Result
    from tinyvmi_build.files import RESULT, read_text, require_writable, write_file

    # As it can be repeated on another machine, which has other folders.
    typed = [Path(w).name if "/" in w else w for w in sys.argv[1:] if w != "--keep"]
    words = shlex.join(["tinyvmi-build", *typed])
    if host != (target is not None):
        raise click.UsageError("--host and --target belong together")
    for output in filter(None, (plot, doc)):
        require_writable(output)
    if sources:
        result = Result.joined([Result.parse(read_text(source, RESULT)) for source in sources])
    elif host and target is not None:
        from tinyvmi_build.bench.host import measure_host

        host_options = HostOptions(words, rounds, scans, libvmi, target=target, pause=not no_pause)
        result = measure_host(project, sets, host_options, progress)
    else:
        clocks = ((ICOUNT,) if icount or only_icount else ()) + (() if only_icount else (WALL,))
        lab_options = LabOptions(
            *(words, rounds, scans, libvmi), clocks=clocks, avx2=avx2, quick=quick, keep=keep
        )
        result = measure(project, sets, lab_options, progress)
    if plot is not None:
        write_file(plot, draw(result))
    if doc is not None:
        write_file(doc, document(result, plot.name if plot else None))
    if as_json:
        click.echo(json_output.line("bench", asdict(result)))
        return 0
    for table in tables(result):
        click.echo(table.text())
    for run in result.runs:
        for failure in run.failed:
            progress.warn(f"{run.clock}: {failure}")
    for absent in result.absent:
        progress.note(f"not measured: {absent}")
    if any(run.clock != HOST for run in result.runs):
        click.echo(FOOT)
    return 0
