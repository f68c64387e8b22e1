"""The memory of checks: all of it is given back, also when one of them cannot begin."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.core.conftest import check_table, compile_shared
from tinyvmi_build.paths import data_dir

CHECKS = ("text", "rodata", "idt")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """check_run.c with three checks."""
    folder = tmp_path_factory.mktemp("contexts")
    core = data_dir("minios_app")
    names = ("check_run", "progress", "record", "records", "schedule")
    monitor = [core / "monitor" / f"{name}.c" for name in names]
    others = [core / name for name in ("checks/lib/findings.c", "introspect/cost.c", "digest/crc32.c")]
    here = Path(__file__).parent
    around = [here / "contexts.c", here / "no_target.c", check_table(folder, *CHECKS)]
    library = compile_shared(folder, "contexts", *around, *monitor, *others)
    library.refuse.argtypes = [ctypes.c_uint32]
    return library


def test_all_begin_and_end(library: ctypes.CDLL) -> None:
    library.refuse(len(CHECKS))
    assert library.init_all() == 0
    assert (library.open_checks(), library.allocated()) == (3, 3)
    library.deinit_all()
    assert (library.open_checks(), library.allocated()) == (0, 0)


@pytest.mark.parametrize("number", range(len(CHECKS)))
def test_one_cannot_begin(library: ctypes.CDLL, number: int) -> None:
    """Neither its memory nor that of those before it is left."""
    library.refuse(number)
    assert library.init_all() < 0
    assert (library.open_checks(), library.allocated()) == (0, 0)
