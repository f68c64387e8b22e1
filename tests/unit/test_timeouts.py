"""The emulation timeout scale: measured, read from the load, or given."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinyvmi_build import timeouts
from tinyvmi_build.errors import UsageError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No variable, no calibration, and a load of the test's own: none."""
    monkeypatch.delenv(timeouts.VARIABLE, raising=False)
    monkeypatch.setattr(timeouts, "_slowness", None)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    load = tmp_path / "loadavg"
    load.write_text("0.10 0.10 0.10 1/100 4711\n")
    monkeypatch.setattr(timeouts, "_LOADAVG", load)
    yield load


def test_without_calibration_nothing_is_scaled(fresh: Path) -> None:
    fresh.write_text("50.0 50.0 50.0 50/100 4711\n")
    assert timeouts.timeout(4) == 4


@pytest.mark.parametrize("line, wanted", [("6.0 1 1 1/9 1", 3), ("0.5 1 1 8/9 1", 4), ("0 0 0 1/9 1", 1)])
def test_a_busy_machine_gets_more_time(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, line: str, wanted: int
) -> None:
    monkeypatch.setattr(timeouts, "_slowness", 1.0)
    fresh.write_text(line)
    assert timeouts.timeout(10) == 10 * wanted


def test_a_slow_machine_gets_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zlib, "compress", lambda data, level: time.sleep(3 * timeouts._REFERENCE_S))
    assert 3 <= timeouts.calibrate() <= timeouts.SCALE_MAX
    assert timeouts.timeout(10) >= 30


def test_calibration_has_a_floor_and_a_ceiling(fresh: Path) -> None:
    assert timeouts.calibrate(least=2) >= 2
    fresh.write_text("9999 1 1 1/9 1")
    assert timeouts.scale() == timeouts.SCALE_MAX


def test_without_a_load_the_speed_alone_counts(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "_slowness", 2.0)
    for text in ("", "nonsense a b c"):
        fresh.write_text(text)
        assert timeouts.scale() == 2
    fresh.unlink()
    assert timeouts.scale() == 2


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts.calibrate(least=5)
    monkeypatch.setenv(timeouts.VARIABLE, "2.5")
    assert timeouts.timeout(4) == 10


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf"])
def test_a_bad_factor(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(timeouts.VARIABLE, text)
    with pytest.raises(UsageError, match=timeouts.VARIABLE):
        timeouts.timeout(1)
