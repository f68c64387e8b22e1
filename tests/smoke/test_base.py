"""Each test inside the domain is a test here."""

from __future__ import annotations

import pytest

from tests.smoke.booting import Boot
from tests.smoke.tap import Tap, promised
from tinyvmi_build.paths import data_dir

NAMES = promised(data_dir("minios_app") / "kernel" / "tests")


@pytest.mark.parametrize("name", NAMES)
def test_in_domain(full_run: tuple[Boot, Tap], name: str) -> None:
    run, tap = full_run
    assert name in tap.results, f"no result; the domain ended: {run.ended}\n{run.console}"
    assert tap.results[name], "\n".join(tap.notes[name])


def test_run_is_complete(full_run: tuple[Boot, Tap]) -> None:
    run, tap = full_run
    assert run.ended == "shutdown", run.console
    assert tap.planned == len(NAMES) == len(tap.results), run.console
    assert "CRASH" not in run.text


def test_every_module_is_there() -> None:
    """The names come from a regular expression over C: see that it finds what it is meant to."""
    modules = {"string", "printf", "pages", "heap", "map", "events", "time", "sched"}
    assert {name.split(":")[0] for name in NAMES} == modules | {"console", "protect", "vector", "xenbus"}
