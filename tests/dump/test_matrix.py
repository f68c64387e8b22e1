"""A part of the grid, and what keeps and shows its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dump.circumstances import CIRCUMSTANCES, Circumstance, named
from tests.experiments.matrix.cell import FAILED, IMPOSSIBLE, Cell, Kernel, _brief
from tests.experiments.matrix.state import State
from tests.experiments.matrix.table import counts, good, terminal, word
from tinyvmi_build.progress import Progress

QUIET = Progress(quiet=True)
#: What is done inside the guest, once on a kernel of each series.
CELLS = [
    ("bullseye", "kprobe-removed"),
    ("bookworm", "netfilter"),
    ("trixie", "events-toggled"),
    ("trixie", "hotplug-first"),
    ("sid", "bpf"),
]


@pytest.mark.parametrize(("suite", "circumstance"), CELLS)
def test_a_cell_is_as_it_must_be(suite: str, circumstance: str) -> None:
    cell = Cell(Kernel("linux-image-cloud-amd64", suite, QUIET), named(circumstance))
    result = cell.run(QUIET)
    assert good(cell.circumstance, result), result
    assert result["evidence"]
    assert set(result["checks"]) == set(cell.kernel.loaded.config.checks_made)


def test_what_cannot_come_about_says_why() -> None:
    """The emulated processor has no Meltdown: `pti=on` would be a second plain boot."""
    kernel = Kernel("linux-image-cloud-amd64", "bookworm", QUIET)
    wanted = replace(named("plain"), script="shows /sys/devices/system/cpu/vulnerabilities/meltdown PTI")
    result = Cell(kernel, wanted).run(QUIET)
    assert (result["outcome"], result["reason"]) == (IMPOSSIBLE, "meltdown says: Not affected")
    absent = Cell(kernel, replace(wanted, modules=("no_such",))).run(QUIET)
    assert (absent["outcome"], absent["reason"]) == (IMPOSSIBLE, "it has no module no_such")
    silent = Cell(kernel, replace(wanted, script="true")).run(QUIET)
    assert (silent["outcome"], silent["reason"]) == (
        FAILED,
        "the guest does not say whether the circumstance holds",
    )
    keys = {Cell(kernel, wanted).key, Cell(kernel, wanted, 1).key, Cell(kernel, named("plain")).key}
    assert len(keys) == 3


def test_a_crash_is_named() -> None:
    message = "the guest did not come up: QEMU ended\n\n[    0.04] Call Trace:\n[    0.04]  <TASK>\n"
    frames = "[    0.044] ? finish+0x5f/0xd0\n[    0.044617]  alternative_instructions+0x3c/0x120\n"
    said = "the guest did not come up: QEMU ended"
    assert _brief(message + frames) == f"{said}; the kernel had crashed in alternative_instructions"
    assert _brief(message) == _brief(said) == said


def test_every_script_says_whether_it_holds() -> None:
    names = [c.name for c in CIRCUMSTANCES]
    assert len(set(names)) == len(names)
    for c in CIRCUMSTANCES:
        said = ("yes ", "shows ", "is ", "flag ")
        assert not c.script or any(line.startswith(said) for line in c.script.splitlines()), c.name


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    state = State(path)
    one = {"package": "p", "circumstance": "plain", "seed": 0}
    state.add({"key": "a", "outcome": "intact", **one})
    state.add({"key": "b", "outcome": FAILED, **one})
    with path.open("a") as file:
        file.write('{"key": "c", "outc')  # killed while it wrote
    again = State(path)
    assert [again.done(key) for key in "abc"] == [True, False, False]
    again.add({"key": "c", "outcome": "intact", **one})
    again.add({"key": "b", "outcome": "tampered", **one})
    last = State(path)
    assert [last.done(key) for key in "abc"] == [True, True, True]
    assert last.get("b") == {"key": "b", "outcome": "tampered", **one}


def test_what_was_checked_before_is_known_as_old(tmp_path: Path) -> None:
    place = {"package": "p", "circumstance": "plain", "seed": 0}
    state = State(tmp_path / "state.jsonl")
    state.add({"key": "a", **place, **_result("intact")})
    state.add({"key": "b", **place, "outcome": FAILED, "reason": "no"})  # is tried again, and hides nothing
    again = State(tmp_path / "state.jsonl")
    latest = again.latest(**place)
    assert latest is not None and word(PLAIN, latest) == "✓°"
    assert again.get("a") and "old" not in (again.get("a") or {})
    assert again.latest(package="p", circumstance="plain", seed=1) is None


def _result(outcome: str, kinds: tuple[str, ...] = (), unexplained: int | None = 0) -> dict[str, Any]:
    return {"outcome": outcome, "kinds": dict.fromkeys(kinds, 1), "unexplained": unexplained}


PLAIN, PROBED = Circumstance("plain"), Circumstance("probed", findings=frozenset({"kprobe"}))


@pytest.mark.parametrize(
    ("circumstance", "result", "expected"),
    [
        (PLAIN, _result("intact"), "✓"),
        (PLAIN, _result("tampered", ("text: return",)), "✗ return"),
        (PLAIN, _result("unverifiable"), "✗ unverifiable"),
        (PLAIN, _result("intact", unexplained=1), "✗ intact"),
        (PLAIN, _result("intact", unexplained=None), "✗ intact"),
        (PROBED, _result("tampered", ("text: kprobe",), 15), "✓ kprobe"),
        (PROBED, _result("intact"), "✗ intact"),
        (PROBED, _result("tampered", ("text: kprobe", "rodata: bytes")), "✗ bytes, kprobe"),
        (PLAIN, {"outcome": IMPOSSIBLE, "reason": "no"}, "n"),
        (PLAIN, {"outcome": FAILED, "reason": "no"}, "!"),
        (PLAIN, None, "–"),
    ],
)
def test_words_of_the_table(circumstance: Circumstance, result: dict[str, Any] | None, expected: str) -> None:
    assert word(circumstance, result) == expected
    number = counts([circumstance], {("k", circumstance.name): result})
    assert sum(number.values()) == 1
    assert number["bad"] == expected.startswith("✗")
    shown = terminal(["k"], [circumstance], {("k", circumstance.name): result})
    assert shown.split()[-1] == expected.split()[-1]
