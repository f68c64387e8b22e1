"""The grid as a table, for a terminal and for the docs: the same results make the same text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.dump.circumstances import Circumstance
from tests.experiments.matrix.cell import FAILED, IMPOSSIBLE, Kernel

Results = Mapping[tuple[str, str], dict[str, Any] | None]  # (kernel, circumstance) → result, None: not run

_HEAD = """# Kernels × circumstances

Written by `make matrix`. Each kernel, named by its metapackage, is booted under each circumstance. Its
memory is saved, and all checks run over it with `tinyvmi-check`. An independent prediction of the
kernel's code (`tests/dump/text_oracle.py`) is compared with the memory byte by byte.

`✓` intact, no finding, no byte unexplained · `✓ kind` exactly the findings that this circumstance must
make · `✗` anything else · `n` cannot be set up (see below) · `!` the guest did not boot · `–` not run ·
`°` run before the last change of the checker, the golden values or how the guest is booted.
"""

_MADE = """
`tests/dump/circumstances.py` has the list, with the script that runs in the guest and shows that the
circumstance holds. `hour` is an hour of the guest's own clock: QEMU counts instructions (`-icount
shift=3`) and skips the time in which the guest sleeps (`sleep=off`). The guest works for a part of every
ten seconds, so that most of its hour is sleep.
"""


def word(circumstance: Circumstance, result: dict[str, Any] | None) -> str:
    """One cell of the table."""
    if result is None:
        return "–"
    return _word(circumstance, result) + ("°" if result.get("old") else "")


def _word(circumstance: Circumstance, result: dict[str, Any]) -> str:
    if result["outcome"] in (IMPOSSIBLE, FAILED):
        return "n" if result["outcome"] == IMPOSSIBLE else "!"
    kinds = ", ".join(sorted({kind.partition(": ")[2] for kind in result["kinds"]}))
    if good(circumstance, result):
        return f"✓ {kinds}".strip()
    return f"✗ {kinds or result['outcome']}"


def good(circumstance: Circumstance, result: dict[str, Any]) -> bool:
    """Whether the verdict is what it must be, and no byte is unexplained."""
    kinds = {kind.partition(": ")[2] for kind in result.get("kinds", {})}
    wanted = "tampered" if circumstance.findings else "intact"
    # The oracle knows of no kprobes, nor of much of what traces.
    explained = result.get("unexplained") == 0 or bool(circumstance.findings) or not circumstance.oracle
    return result["outcome"] == wanted and kinds == circumstance.findings and explained


def counts(circumstances: Sequence[Circumstance], results: Results) -> dict[str, int]:
    """How many cells came out how."""
    by_name = {c.name: c for c in circumstances}
    found = dict.fromkeys(("good", "bad", "impossible", "failed", "not run"), 0)
    for (_, name), result in results.items():
        mark = word(by_name[name], result)[0]
        found[{"✓": "good", "✗": "bad", "n": "impossible", "!": "failed", "–": "not run"}[mark]] += 1
    return found


def terminal(kernels: Sequence[str], circumstances: Sequence[Circumstance], results: Results) -> str:
    """The grid in columns."""
    rows = [["", *kernels]]
    rows += [[c.name, *(word(c, results.get((k, c.name))) for k in kernels)] for c in circumstances]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def markdown(kernels: Sequence[Kernel], circumstances: Sequence[Circumstance], results: Results) -> str:
    """docs/results/matrix.md"""
    names = [k.name for k in kernels]
    number = counts(circumstances, results)
    checked = [r for r in results.values() if r is not None and "unexplained" in r]
    code = sum(r["checks"]["text"]["items"] * 4096 for r in checked if "text" in r["checks"])
    lines = [_HEAD, "## Kernels\n", "| column | release | package | " + " | ".join(_checks(checked)) + " |"]
    lines.append("|---|---|---|" + "---|" * len(_checks(checked)))
    for k in kernels:
        units = _units([r for r in checked if r["kernel"] == k.name], _checks(checked))
        version = k.package.name.split("_")[1].replace("%3a", ":")
        named = f"| {k.name} | {k.profile.release} | `{k.metapackage}` {version} |"
        lines.append(f"{named} {' | '.join(units)} |")
    unexplained = sum(r["unexplained"] or 0 for r in checked if not _expected(r, circumstances))
    old = sum(bool(r and r.get("old")) for r in results.values())
    lines += [
        "\nNumbers are the items that a check compares in the plain boot (pages, pointers, gates, …).\n",
        "## Results\n",
        f"{sum(number.values())} cells: {number['good']} as expected, {number['bad']} not,"
        f" {number['impossible']} that cannot be set up, {number['failed']} where the guest did not boot,"
        f" {number['not run']} not run, {old} of them °. Of {code / 1e9:.1f} GB of kernel code in them,"
        f" {unexplained} bytes are unexplained.\n",
        "| circumstance | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for c in circumstances:
        lines.append(f"| {c.name} | " + " | ".join(word(c, results.get((k, c.name))) for k in names) + " |")
    lines += ["", *_reasons("What cannot be set up", IMPOSSIBLE, names, circumstances, results)]
    lines += _reasons("Where the guest did not boot", FAILED, names, circumstances, results)
    lines += _wrong(names, circumstances, results)
    return "\n".join([*lines, *_circumstances(circumstances)]) + "\n"


def _expected(result: dict[str, Any], circumstances: Sequence[Circumstance]) -> bool:
    return any(c.name == result["circumstance"] and (c.findings or not c.oracle) for c in circumstances)


def _checks(checked: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(check for r in checked for check in r["checks"]))


def _units(checked: Sequence[dict[str, Any]], checks: Sequence[str]) -> list[str]:
    plain = next((r for r in checked if r["circumstance"] == "plain"), None)
    return [f"{plain['checks'][c]['items']:,}" if plain and c in plain["checks"] else "–" for c in checks]


def _reasons(
    title: str, outcome: str, kernels: Sequence[str], circumstances: Sequence[Circumstance], results: Results
) -> list[str]:
    lines = []
    for c in circumstances:
        by_reason: dict[str, list[str]] = {}
        for k in kernels:
            result = results.get((k, c.name))
            if result is not None and result["outcome"] == outcome:
                reason = result["reason"].splitlines()[0].replace("|", "\\|")
                by_reason.setdefault(reason, []).append(k)
        for reason, who in by_reason.items():
            kernel = "all" if len(who) == len(kernels) else ", ".join(who)
            lines.append(f"| {c.name} | {kernel} | {reason} |")
    if not lines:
        return []
    return [f"## {title}\n", "| circumstance | kernels | because |", "|---|---|---|", *lines, ""]


def _wrong(kernels: Sequence[str], circumstances: Sequence[Circumstance], results: Results) -> list[str]:
    lines = []
    for c in circumstances:
        for k in kernels:
            result = results.get((k, c.name))
            if result is None or result["outcome"] in (IMPOSSIBLE, FAILED) or good(c, result):
                continue
            checks = result["checks"].items()
            found = [f"{n} {s['findings']}" for n, s in checks if s["findings"]]
            found += [f"{n}: {s['reason']}" for n, s in checks if s.get("reason")]
            lines.append(f"- {c.name}, {k}: {result['outcome']}; {'; '.join(found)}")
    return ["## What is not as expected\n", *lines, ""] if lines else []


def _circumstances(circumstances: Sequence[Circumstance]) -> list[str]:
    lines = [
        "## How they are made\n",
        _MADE,
        "| circumstance | processor | vCPUs | kernel command line | modules | in the guest |",
        "|---|---|---|---|---|---|",
    ]
    for c in circumstances:
        extra = f"`{c.extra}`" if c.extra else ""
        steps = "yes" if c.script else ""
        lines.append(f"| {c.name} | {c.cpu} | {c.smp} | {extra} | {' '.join(c.modules)} | {steps} |")
    return lines
