"""`python -m tests.experiments.targets`: run the rows without a result, write docs/results/targets.md."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from tests.experiments import program
from tests.experiments.targets.mode import Mode
from tests.experiments.targets.rows import ROWS, Row
from tests.experiments.targets.run_row import FAILED
from tests.experiments.targets.state import State
from tests.experiments.targets.table import good, markdown, terminal, words
from tests.lab import bases
from tinyvmi_build.progress import Progress

DOCS = Path(__file__).resolve().parents[3] / "docs" / "results" / "targets.md"
_MINUTES = 5  # to which the time of a whole run is rounded up


@click.command()
@click.option("--row", "only", multiple=True, metavar="NAME", help="Only these: 'HVM, KASLR', ….")
@click.option("--again", is_flag=True, help="Run rows that have a result, too.")
@click.option("--json", "as_json", is_flag=True, help="Results as JSON Lines instead of the table.")
@click.option("--docs/--no-docs", default=None, help="Write docs/results/targets.md (default: of all).")
def main(only: tuple[str, ...], again: bool, as_json: bool, docs: bool | None) -> None:
    """Start a target of each kind; have monitors on each base check it, clean and tampered.

    TINYVMI_MINIOS_TREE names a tree of the Xen Project's Mini-OS; without it there is the built-in base only.
    A run that was interrupted goes on with the row where it was.
    Exit status: 0 if every row that was asked for is as it must be, 5 if one is not, 4 if the lab failed.
    """
    for name in only:
        if name not in {row.name for row in ROWS}:
            known = "; ".join(row.name for row in ROWS)
            raise click.UsageError(f"no row '{name}'; there are: {known}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    progress, state = Progress(), State()
    asked = [row for row in ROWS if not only or row.name in only]
    modes = {mode: Mode(mode, progress) for mode in dict.fromkeys(row.mode for row in ROWS)}
    todo = [row for row in asked if again or not _done(state, modes[row.mode], row)]
    click.echo(f"{len(asked)} rows, {len(asked) - len(todo)} with a result already", err=True)
    try:
        _run(todo, modes, state)
    except KeyboardInterrupt:
        click.echo("interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    results = {row.name: _got(state, modes[row.mode], row) for row in ROWS}
    mine = {row.name: results[row.name] for row in asked}
    if as_json:
        for name, result in mine.items():
            click.echo(json.dumps({"row": name, "result": result}, sort_keys=True))
    else:
        click.echo(terminal(asked, mine, bases.BASES))
    if docs or (docs is None and not only):
        minutes = sum(result["seconds"] for result in results.values() if result) // 60
        facts = _facts(modes.values(), results)
        DOCS.write_text(markdown(ROWS, results, bases.BASES, facts, -(-minutes // _MINUTES) * _MINUTES))
        click.echo(f"wrote {DOCS}", err=True)
    ran = {row: r for row in asked if (r := mine[row.name]) is not None and r["outcome"] != FAILED}
    bad = [row for row, result in ran.items() if not good(row, result, bases.BASES)]
    sys.exit(5 if bad else 4 if len(ran) < len(asked) else 0)


def _done(state: State, mode: Mode, row: Row) -> bool:
    return state.done(row.name, mode.names, mode.key(row))


def _got(state: State, mode: Mode, row: Row) -> dict[str, Any] | None:
    return state.get(row.name, mode.names, mode.key(row))


def _run(todo: list[Row], modes: dict[str, Mode], state: State) -> None:
    for mode in modes.values():
        try:
            for row in (row for row in todo if row.mode == mode.mode):
                click.echo(f"== {row.name}", err=True)
                result = mode.run(row)
                state.add(row.name, mode.names, mode.key(row), result)
                cells = words(row, result, mode.names)
                said = result["reason"] if result["outcome"] == FAILED else ", ".join(cells)
                click.echo(f"   {said} ({result['seconds']} s)", err=True)
        finally:
            mode.close()


def _facts(modes: Iterable[Mode], results: dict[str, dict[str, Any] | None]) -> list[str]:
    """What was built and booted."""
    packages = sorted({path.name for mode in modes for path in mode.config.kernel.packages})
    revs = {
        base: one["rev"]
        for result in results.values()
        for base, one in (result or {}).get("bases", {}).items()
        if one.get("rev")
    }
    return [
        f"target: `{'`, `'.join(packages)}`, 256 MiB, with the modules that the lab loads",
        *(f"{base}: source {rev}" for base, rev in revs.items()),
        "around them: QEMU's TCG, processor `qemu64,+svm,+npt`; Xen, its tools and dom0 from Debian bookworm,"
        " the Xen of FLASK mode built from Debian's source",
    ]


if __name__ == "__main__":
    program.run(main)
