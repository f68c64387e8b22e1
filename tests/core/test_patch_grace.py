"""How long findings are put down to a kernel that is just patching itself, and which are."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.core.conftest import compile_shared
from tinyvmi_build.paths import data_dir

LOOK = 100_000_000  # ns, from one look to the next
REREAD = 20_000_000
SECOND = 1_000_000_000


class Monitor:
    """scan.c with one check."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.tells.restype = ctypes.c_bool
        library.advance.argtypes = [ctypes.c_uint64]
        library.find.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
        library.writes.argtypes = [ctypes.c_bool]

    def finds(self, *kinds: tuple[bytes, int]) -> None:
        self._library.find(None, 0)
        for kind, count in kinds:
            self._library.find(kind, count)

    def writes(self, yes: bool = True) -> None:
        self._library.writes(yes)

    def told_after(self, seconds: float) -> float | None:
        """Look for so long; when it was told, None if it was not."""
        for n in range(round(seconds * SECOND / LOOK)):
            if self._library.tells():
                return n * LOOK / SECOND
            self._library.advance(LOOK - REREAD)
        return None


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    room = data_dir("minios_app") / "monitor"
    sources = [room / name for name in ("scan.c", "findings.c", "record.c", "cost.c", "schedule.c")]
    shutil.copy(room / "scan.h", tmp_path)
    shutil.copy(Path(__file__).parent / "patch_grace.c", tmp_path)
    return Monitor(compile_shared(tmp_path, "patience", tmp_path / "patch_grace.c", *sources))


def test_a_tracer_that_gets_done(monitor: Monitor) -> None:
    """Twenty seconds of patching are let pass, and so is what stands there then."""
    monitor.writes()
    monitor.finds((b"ftrace", 500))
    assert monitor.told_after(20) is None
    monitor.finds()
    assert monitor.told_after(5) is None


def test_one_that_never_gets_done(monitor: Monitor) -> None:
    monitor.writes()
    monitor.finds((b"ftrace", 1))
    when = monitor.told_after(60)
    assert when is not None and 25 < when <= 31


def test_places_that_nobody_patches_now(monitor: Monitor) -> None:
    monitor.finds((b"ftrace", 1))
    assert monitor.told_after(1) == 0


@pytest.mark.parametrize("kind", [b"text-bytes", b"page-digest", b"mapping", b"return", b"alternative"])
def test_other_bytes_behind_a_row_of_patched_places(monitor: Monitor, kind: bytes) -> None:
    """More than are described: each counts."""
    monitor.writes()
    monitor.finds((b"ftrace", 500), (kind, 1))
    assert monitor.told_after(1) == 0


def test_order_for_a_while_earns_nothing_to_speak_of(monitor: Monitor) -> None:
    """A target that puts all right every other second, and goes on patching, is told after as many."""
    monitor.writes()
    for bad in range(60):
        monitor.finds((b"jump-label", 1))
        if monitor.told_after(1) is not None:
            assert 25 < bad < 36
            return
        monitor.finds()
        assert monitor.told_after(1) is None
    raise AssertionError("it was never told")
