"""How long findings are put down to a kernel that is just patching itself, and which are."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.core.conftest import check_table, compile_shared
from tinyvmi_build.paths import data_dir

POLL = 100_000_000  # ns, from one check to the next
REREAD = 20_000_000
SECOND = 1_000_000_000


class Monitor:
    """check_run.c with one check."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.reports.restype = ctypes.c_bool
        library.advance.argtypes = [ctypes.c_uint64]
        library.find.argtypes = [ctypes.c_char_p, ctypes.c_uint32]
        library.writes.argtypes = [ctypes.c_bool]

    def finds(self, *kinds: tuple[bytes, int]) -> None:
        self._library.find(None, 0)
        for kind, count in kinds:
            self._library.find(kind, count)

    def writes(self, yes: bool = True) -> None:
        self._library.writes(yes)

    def reported_after(self, seconds: float) -> float | None:
        """Check for so long; when it was reported, None if it was not."""
        for n in range(round(seconds * SECOND / POLL)):
            if self._library.reports():
                return n * POLL / SECOND
            self._library.advance(POLL - REREAD)
        return None


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    core = data_dir("minios_app")
    monitor = [
        core / "monitor" / f"{name}.c" for name in ("check_run", "progress", "record", "records", "schedule")
    ]
    others = [core / name for name in ("checks/lib/findings.c", "introspect/cost.c", "digest/crc32.c")]
    here = Path(__file__).parent
    around = [here / "patch_grace.c", here / "no_target.c", check_table(tmp_path, "text")]
    return Monitor(compile_shared(tmp_path, "patch_grace", *around, *monitor, *others))


def test_a_tracer_that_gets_done(monitor: Monitor) -> None:
    """Twenty seconds of patching are let pass, and so is what stands there then."""
    monitor.writes()
    monitor.finds((b"ftrace", 500))
    assert monitor.reported_after(20) is None
    monitor.finds()
    assert monitor.reported_after(5) is None


def test_one_that_never_gets_done(monitor: Monitor) -> None:
    monitor.writes()
    monitor.finds((b"ftrace", 1))
    when = monitor.reported_after(60)
    assert when is not None and 25 < when <= 31


def test_places_that_nobody_patches_now(monitor: Monitor) -> None:
    monitor.finds((b"ftrace", 1))
    assert monitor.reported_after(1) == 0


@pytest.mark.parametrize("kind", [b"text-bytes", b"page-digest", b"mapping", b"return", b"alternative"])
def test_other_bytes_behind_a_row_of_patched_places(monitor: Monitor, kind: bytes) -> None:
    """More than are described: each counts."""
    monitor.writes()
    monitor.finds((b"ftrace", 500), (kind, 1))
    assert monitor.reported_after(1) == 0


def test_order_for_a_while_earns_nothing_to_speak_of(monitor: Monitor) -> None:
    """A target that puts all right every other second, and goes on patching, is reported after as many."""
    monitor.writes()
    for bad in range(60):
        monitor.finds((b"jump-label", 1))
        if monitor.reported_after(1) is not None:
            assert 25 < bad < 36
            return
        monitor.finds()
        assert monitor.reported_after(1) is None
    raise AssertionError("it was never reported")
