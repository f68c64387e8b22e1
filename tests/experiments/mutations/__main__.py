"""`python -m tests.experiments.mutations`: the mutation campaign on several kernels; `make mutations`."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import click

from tests.dump.test_text_changes import TARGETS, WRONGS
from tests.experiments import program
from tests.experiments.mutations.campaign import Tally, encoding_name, try_bytes, try_encodings
from tests.experiments.mutations.subject import target

#: The targets of every test run, and kernels of more parts.
CAMPAIGN = [
    *TARGETS,
    ("linux-image-rt-amd64", "bookworm", "plain"),
    ("linux-image-amd64", "trixie", "plain"),
    ("linux-image-amd64", "sid", "haswell"),
]
DOCS = Path(__file__).resolve().parents[3] / "docs" / "results" / "mutations.md"
_HEAD = """# The mutation campaign

Written by `make mutations`. Bytes of saved kernels are changed, and all checks run over the result:
random single bytes of everything that is verified byte by byte (the kernel's text, rodata and
ro-after-init, and text and rodata of the loaded modules), and each plausible but wrong encoding at up to
16 patch sites of its kind. A change is caught if its check reports it; for an encoding with the site's
address, kind and bytes.
"""


@click.command()
@click.option("--seed", default=20_261_124, show_default=True)
@click.option("--bytes", "number", default=10_000, show_default=True, help="Random bytes of each kernel.")
@click.option("--kernels", multiple=True, metavar="SUITE", help="Only these suites (default: all targets).")
@click.option("--docs/--no-docs", default=True, help="Write docs/results/mutations.md (of all targets).")
def main(seed: int, number: int, kernels: tuple[str, ...], docs: bool) -> None:
    """Change bytes of saved kernels and tell what was caught and what was missed, by kind.

    Exit status: 0 if every change was caught and no untouched kernel has a finding, else 5.
    """
    chosen = [t for t in CAMPAIGN if not kernels or t[1] in kernels]
    if not chosen:
        raise click.UsageError(f"there are {', '.join(sorted({t[1] for t in CAMPAIGN}))}")
    tallies: dict[str, Tally] = {}
    releases: list[str] = []
    for metapackage, suite, circumstance in chosen:
        start, tally = time.monotonic(), Tally()
        with target(metapackage, suite, circumstance) as one:
            name = f"{one.subject.profile.release}, {circumstance}"
            releases.append(one.subject.profile.release)
            untouched = one.check()
            for check, state in untouched.collector.checks.items():
                if state.findings:
                    tally.missed.append(f"untouched: {state.findings} findings of {check}")
            try_encodings(one, random.Random(seed), tally)
            if one.call_depth:
                try_bytes(one, min(number, 50), random.Random(seed), tally)
            else:
                try_bytes(one, number, random.Random(seed), tally)
        tallies[name] = tally
        spent = time.monotonic() - start
        click.echo(
            f"{name}: {tally.tried.total():,} changes, {tally.caught.total():,} caught,"
            f" {len(tally.missed)} missed; {tally.runs} runs, {spent:.0f} s",
            err=True,
        )
    click.echo(_table(tallies))
    missed = [f"{name}: {what}" for name, tally in tallies.items() for what in tally.missed]
    for line in missed:
        click.echo(f"MISSED {line}")
    tried = {what for tally in tallies.values() for what in tally.tried}
    never = [name for kind, what, _ in WRONGS if (name := encoding_name(kind, what)) not in tried]
    if len(chosen) == len(CAMPAIGN):
        for what in never:
            click.echo(f"NEVER TRIED {what}")
        if docs:
            DOCS.write_text(_markdown(seed, tallies, missed, never))
            click.echo(f"wrote {DOCS}", err=True)
        missed += never
    sys.exit(5 if missed else 0)


def _totals(tallies: dict[str, Tally]) -> tuple[Counter[str], Counter[str]]:
    tried: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    for tally in tallies.values():
        tried += tally.tried
        caught += tally.caught
    return tried, caught


def _table(tallies: dict[str, Tally]) -> str:
    tried, caught = _totals(tallies)
    width = max(map(len, tried), default=0)
    rows = [f"{what.ljust(width)}  {caught[what]:>7,} of {n:>7,}" for what, n in sorted(tried.items())]
    return "\n".join([*rows, f"{'all'.ljust(width)}  {caught.total():>7,} of {tried.total():>7,}"])


def _markdown(seed: int, tallies: dict[str, Tally], missed: list[str], never: list[str]) -> str:
    tried, caught = _totals(tallies)
    lines = [_HEAD, f"Seed {seed}: {tried.total():,} changes, {caught.total():,} caught.\n"]
    lines += ["| kernel, circumstance | changes | caught | findings without a change |", "|---|---|---|---|"]
    for name, tally in tallies.items():
        untouched = sum(what.startswith("untouched") for what in tally.missed)
        lines.append(f"| {name} | {tally.tried.total():,} | {tally.caught.total():,} | {untouched} |")
    lines += ["", "| what | tried | caught |", "|---|---|---|"]
    lines += [f"| {what} | {n:,} | {caught[what]:,} |" for what, n in sorted(tried.items())]
    lines += ["", *(f"- missed: {what}" for what in missed), *(f"- never tried: {what}" for what in never)]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    program.run(main)
