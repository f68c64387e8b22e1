"""`python -m tests.experiments.matrix`: run the cells without a result, write docs/results/matrix.md."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click

from tests.dump.circumstances import CIRCUMSTANCES, KERNELS
from tests.experiments import program
from tests.experiments.matrix.cell import FAILED, IMPOSSIBLE, Cell, Kernel
from tests.experiments.matrix.state import State
from tests.experiments.matrix.table import counts, good, markdown, terminal
from tinyvmi_build.progress import Progress

DOCS = Path(__file__).resolve().parents[3] / "docs" / "results" / "matrix.md"


@click.command()
@click.option("--kernel", "only_kernels", multiple=True, metavar="NAME", help="Only these: 'trixie rt', ….")
@click.option("--circumstance", "only", multiple=True, metavar="NAME", help="Only these.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Guests at a time.")
@click.option("--seed", default=0, show_default=True, help="Another one boots each kernel anew (KASLR).")
@click.option("--again", is_flag=True, help="Run cells that have a result, too.")
@click.option("--keep-dumps", is_flag=True, help="Leave each dump in the cache (some 100 MB each).")
@click.option("--json", "as_json", is_flag=True, help="Results as JSON Lines instead of the table.")
@click.option("--docs/--no-docs", default=None, help="Write docs/results/matrix.md (default: of all).")
def main(
    only_kernels: tuple[str, ...],
    only: tuple[str, ...],
    jobs: int,
    seed: int,
    again: bool,
    keep_dumps: bool,
    as_json: bool,
    docs: bool | None,
) -> None:
    """Boot kernels under circumstances, check their memory, and report where the result is not as it must be.

    A run that was interrupted goes on where it was.
    A changed package, circumstance or checker is checked anew.
    Exit status: 0 if every cell that was asked for is as it must be, 5 if one is not, 4 if the lab failed.
    """
    progress = Progress(quiet=True)
    kernels = [Kernel(*names, progress) for names in _announced(KERNELS)]
    _known([k.name for k in kernels], only_kernels)
    _known([c.name for c in CIRCUMSTANCES], only)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    state = State()
    cells = {(k.name, c.name): Cell(k, c, seed) for k in kernels for c in CIRCUMSTANCES}
    asked = [
        cell
        for (kernel, circumstance), cell in cells.items()
        if (not only_kernels or kernel in only_kernels) and (not only or circumstance in only)
    ]
    todo = [cell for cell in asked if again or not state.done(cell.key)]
    click.echo(f"{len(asked)} cells, {len(asked) - len(todo)} with a result already", err=True)
    try:
        _run(todo, jobs, keep_dumps, state)
    except KeyboardInterrupt:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    results = {where: state.get(cell.key) or state.latest(**cell.place) for where, cell in cells.items()}
    mine = {(c.kernel.name, c.circumstance.name): state.get(c.key) for c in asked}
    if as_json:
        for result in mine.values():
            click.echo(json.dumps(result, sort_keys=True))
    else:
        shown = [k.name for k in kernels if not only_kernels or k.name in only_kernels]
        click.echo(terminal(shown, [c for c in CIRCUMSTANCES if not only or c.name in only], mine))
        click.echo(", ".join(f"{number} {what}" for what, number in counts(CIRCUMSTANCES, mine).items()))
    if docs or (docs is None and not only and not only_kernels):
        DOCS.write_text(markdown(kernels, CIRCUMSTANCES, results))
        click.echo(f"wrote {DOCS}", err=True)
    number = counts(CIRCUMSTANCES, mine)
    sys.exit(5 if number["bad"] else 4 if number["failed"] else 0)


def _announced(names: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for number, (metapackage, suite) in enumerate(names, 1):
        click.echo(f"kernel {number}/{len(names)}: {metapackage} of {suite}", err=True)
        yield metapackage, suite


def _known(names: list[str], asked: tuple[str, ...]) -> None:
    for name in asked:
        if name not in names:
            raise click.UsageError(f"no '{name}'; there are: {', '.join(names)}")


def _run(todo: list[Cell], jobs: int, keep: bool, state: State) -> None:
    start, quiet = time.monotonic(), Progress(quiet=True)
    left = {cell.kernel.name: 0 for cell in todo}
    for cell in todo:
        left[cell.kernel.name] += 1

    def finished(number: int, cell: Cell, result: dict[str, Any]) -> None:
        state.add(result)
        left[cell.kernel.name] -= 1
        if not left[cell.kernel.name]:
            cell.kernel.forget()
        spent = time.monotonic() - start
        click.echo(
            f"[{number}/{len(todo)}] {cell.name}: {_said(cell, result)}, {result['seconds']} s"
            f" (eta {_clock(spent / number * (len(todo) - number))})",
            err=True,
        )

    if jobs == 1:
        for number, cell in enumerate(todo, 1):
            finished(number, cell, cell.run(quiet, keep))
        return
    # QEMU dies with the thread that started it; the pool's threads live as long as the run.
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(cell.run, quiet, keep): cell for cell in todo}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                finished(number, futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _said(cell: Cell, result: dict[str, Any]) -> str:
    if result["outcome"] in (IMPOSSIBLE, FAILED):
        return f"{result['outcome']}: {result['reason'].splitlines()[0]}"
    kinds = "".join(f", {kind} × {count}" for kind, count in result["kinds"].items())
    ms = sum(check["duration_us"] for check in result["checks"].values()) / 1000
    mark = "ok" if good(cell.circumstance, result) else "NOT AS IT MUST BE"
    return f"{mark}, {result['outcome']}{kinds}, {result['unexplained']} bytes unexplained, scan {ms:.0f} ms"


def _clock(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    program.run(main)
