"""The rows as a table, for a terminal and for the docs: the same results make the same text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.experiments.targets.rows import NOT_RUN, Row
from tests.experiments.targets.run_row import FAILED, SCANS
from tinyvmi_build.records.verdict import Verdict

Results = Mapping[str, dict[str, Any] | None]  # by the row's name; None: not run
Line = list[str]

GOOD, BAD, NOT_THERE, NONE = "✓", "✗", "!", "–"

_HEAD = """# Bases × targets

Written by `make targets`. In nested Xen ([lab](../guide/lab.md)) a target of each kind is started. A
monitor on the built-in base and one on the Xen Project's Mini-OS ([Mini-OS
trees](../guide/minios-tree.md)) verify it in turns, as it booted and after a tamper of each check.

`✓` as expected · `✗` not · `!` the target did not boot · `–` not run, see below ·
`°` run before something of it last changed (a monitor's image, the target's kernel, the row).
"""

_CLEAN = f"""
*Clean* is how many consecutive scans of the target as it booted were intact ({SCANS} are required), with
further ones after the last tamper was reverted. *Tampered* is how many of the changes below were reported
by the expected check within three scans, with an intact scan after each was reverted. *Same records*
counts the steps (clean, each tamper) in which both monitors reported the same: every record of the clean
scans and every finding of a tamper, except times and their own identity. *Kernel* is where they found it:
`✓` if the guest's own `/proc/kallsyms` has `_text` there; *moved* if that is not its link address.
"""

_REPEAT = """## Run it again

    TINYVMI_MINIOS_TREE=../mini-os make targets     # a work tree of the Xen Project's Mini-OS
    make targets ARGS="--row 'HVM, KASLR' --again"  # one row; a run of all of them writes this page

The rows above took less than {minutes} minutes on two busy cores; unchanged rows do not run again. HVM takes
the longest to start, because an emulator runs inside the emulator there. `make test` runs a part of it:
PVH, PVH with KASLR, one boot of FLASK mode with PVH and PV.
"""


def clean_word(result: Mapping[str, Any], base: str) -> str:
    """One cell: a clean target."""
    if base not in result["bases"]:
        return NONE
    one = result["bases"][base]
    good = one["clean"] >= SCANS and one["after"] > 0 and not one["lost"]
    return f"{GOOD if good else BAD} {one['clean']} scans" + (", lost" if one["lost"] else "")


def tampered_word(result: Mapping[str, Any], base: str, row: Row) -> str:
    """One cell: all tampers."""
    if base not in result["bases"]:
        return NONE
    caught = sum(is_caught(result, base, change.name, change.caught_by) for change in row.tampers)
    return f"{GOOD if caught == len(row.tampers) else BAD} {caught} of {len(row.tampers)}"


def is_caught(result: Mapping[str, Any], base: str, change: str, check: str | None) -> bool:
    """Whether the monitor on `base` said tampered, by `check`, and intact once that was taken back."""
    found = result["bases"][base]["tampers"].get(change)
    if found is None or check not in found["by"]:
        return False
    return bool(found["verdict"] == Verdict.TAMPERED and found["restored"] == Verdict.INTACT)


def same_word(result: Mapping[str, Any], row: Row) -> str:
    """One cell: whether the bases agree, in the clean run and in each tamper."""
    if len(result["bases"]) < 2:
        return NONE
    steps = ["clean", *(change.name for change in row.tampers)]
    agreed = sum(result["same"].get(step, False) for step in steps)
    return f"{GOOD if agreed == len(steps) else BAD} {agreed} of {len(steps)}"


def where_word(result: Mapping[str, Any], row: Row) -> str:
    """One cell: whether the kernel is where the guest says, and moved only if it may be."""
    found = list(result["bases"].values())
    moved = any(one["moved"] for one in found)
    good = all(one["where_it_says"] for one in found) and (row.moves or not moved)
    return f"{GOOD if good else BAD} {'moved' if moved else 'as linked'}"


def words(row: Row, result: dict[str, Any] | None, names: Sequence[str]) -> Line:
    """The cells of a row: clean and tampered for each base, agreement, place."""
    if result is None or result["outcome"] == FAILED:
        mark = NONE if result is None else NOT_THERE
        return [mark] * (2 * len(names) + 2)
    old = "°" if result.get("old") else ""
    cells = [w for base in names for w in (clean_word(result, base), tampered_word(result, base, row))]
    cells += [same_word(result, row), where_word(result, row)]
    return [cell if cell == NONE else cell + old for cell in cells]


def good(row: Row, result: dict[str, Any] | None, names: Sequence[str]) -> bool:
    """Whether all of a row that was run is as it must be."""
    return result is not None and all(word[0] in (GOOD, NONE) for word in words(row, result, names))


def _columns(names: Sequence[str]) -> Line:
    of_each = [f"{base}: {what}" for base in names for what in ("clean", "tampered")]
    return [*of_each, "same records", "kernel"]


def terminal(rows: Sequence[Row], results: Results, names: Sequence[str]) -> str:
    """The table in columns."""
    lines = [["", *_columns(names)]]
    lines += [[row.name, *words(row, results.get(row.name), names)] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = ((cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in padded)


def markdown(
    rows: Sequence[Row], results: Results, names: Sequence[str], facts: Sequence[str], minutes: int
) -> str:
    """docs/results/targets.md; `facts`: what was built and booted, a line each."""
    ran = {row: result for row in rows if (result := results.get(row.name)) and result["outcome"] != FAILED}
    lines = [_HEAD, *(f"- {fact}" for fact in facts), "", "## Results", "", *_results(rows, results, names)]
    lines += [_CLEAN, "## Targets", "", *_targets(ran, names)]
    lines += ["", "## Tampers", "", *_tampers(rows, ran, names)]
    lines += _differences(ran)
    lines += ["", "## What was not run", "", *_not_run(rows, results, names)]
    lines += ["", _REPEAT.format(minutes=minutes).rstrip() + "\n"]
    return "\n".join(lines)


def _table(head: Line, lines: Sequence[Line]) -> Iterator[str]:
    for line in (head, ["---"] * len(head), *lines):
        yield f"| {' | '.join(line)} |" if line[0] != "---" else "|" + "---|" * len(line)


def _results(rows: Sequence[Row], results: Results, names: Sequence[str]) -> Iterator[str]:
    lines = [[row.name, *words(row, results.get(row.name), names)] for row in rows]
    return _table(["target", *_columns(names)], lines)


def _targets(ran: Mapping[Row, dict[str, Any]], names: Sequence[str]) -> Iterator[str]:
    lines = []
    for row, result in ran.items():
        mode = f"Xen {result['xen']}, {row.mode} mode"
        levels = {one["levels"] for one in result["bases"].values() if "levels" in one}
        facts = [row.name, mode, str(row.vcpus), result["release"], ", ".join(map(str, levels)) or NONE]
        lines.append([*facts, *(_find_word(result["bases"].get(base, {}).get("find_us")) for base in names)])
    head = ["target", "Xen", "vCPUs", "kernel", "levels", *(f"{base}: found in" for base in names)]
    yield from _table(head, lines)
    yield ""
    yield "*Found in* is the time of one run, including other load of the machine."


def _find_word(us: int | None) -> str:
    return NONE if us is None else f"{us / 1000:.1f} ms"


def _tampers(rows: Sequence[Row], ran: Mapping[Row, dict[str, Any]], names: Sequence[str]) -> Iterator[str]:
    known = list({change.name: change for row in rows for change in row.tampers}.values())
    lines = []
    for change in known:
        places: list[str] = []
        by: set[str] = set()
        cells = []
        for row, result in ran.items():
            if change.name not in {c.name for c in row.tampers}:
                cells.append(NONE)
                continue
            took_part = [base for base in names if base in result["bases"]]
            caught = all(is_caught(result, base, change.name, change.caught_by) for base in took_part)
            cells.append((GOOD if caught else BAD) + ("°" if result.get("old") else ""))
            for base in took_part:
                found = result["bases"][base]["tampers"].get(change.name, {"by": [], "at": ""})
                places += [found["at"]] if found["at"] and found["at"] not in places else []
                by |= set(found["by"]) - {change.caught_by}
        also = ", ".join(sorted(by)) or NONE
        shown = ", ".join(f"`{place}`" for place in places) or NONE
        lines.append([f"`{change.name}`: {change.description}", str(change.caught_by), shown, also, *cells])
    head = ["change", "reported by", "first finding at", "also by", *(row.name for row in ran)]
    yield from _table(head, lines)
    yield ""
    yield f"`{NONE}`: not tried there; or the mode has no such check, or the guest no such register."


def _differences(ran: Mapping[Row, dict[str, Any]]) -> Iterator[str]:
    """What one base said and another did not."""
    lines = []
    for row, result in ran.items():
        saved = result.get("differs", {})
        for step in (
            step for step, agreed in result["same"].items() if not agreed and len(result["bases"]) > 1
        ):
            said = [f"{base}: `{one}`" for base, reports in saved.get(step, {}).items() for one in reports]
            lines.append(f"- {row.name}, {step}: {'; '.join(said) or 'the records were not saved'}")
    if lines:
        yield from ("", "## What only one of them said", "", *lines)


def _not_run(rows: Sequence[Row], results: Results, names: Sequence[str]) -> Iterator[str]:
    for row in rows:
        result = results.get(row.name)
        if result is None:
            yield f"- {row.name}: it has not been run yet"
        elif result["outcome"] == FAILED:
            yield f"- {row.name}: the lab did not get there: {result['reason']}"
    absent = [base for base in names if not any(r and base in r.get("bases", {}) for r in results.values())]
    for base in absent:
        yield f"- all of {base}: no tree was named (`TINYVMI_MINIOS_TREE`)"
    for what, why in NOT_RUN.items():
        yield f"- {what}: {why}"
