"""With too little memory for copies pages are digested, and that is told: once for each kernel."""

from __future__ import annotations

import ctypes
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.core.conftest import compile_shared
from tinyvmi_build.paths import data_dir

MIB = 1 << 20
PLENTY = 64 * MIB
TEXT, RODATA, MODULE = 0, 1, 2
PAGES = {TEXT: 2000, RODATA: 900, MODULE: 100}


class Ranges:
    """Pages of three ranges, over page_cache.c."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        library.give.argtypes = [ctypes.c_uint64]
        library.said.restype = ctypes.c_char_p
        library.ready.restype = library.open_range.restype = ctypes.c_bool

    def give(self, size: int) -> None:
        self._library.give(size)

    def open(self, *which: int) -> None:
        for i in which:
            assert self._library.open_range(i, PAGES[i])

    def scan(self, *which: int) -> list[bool]:
        """Which are kept, of those that a scan judges."""
        return [bool(self._library.ready(i)) for i in which]

    def close(self, *which: int) -> None:
        for i in which:
            self._library.close_range(i)

    def said(self) -> list[dict[str, Any]]:
        """What is told at the end of a scan."""
        lines = bytes(self._library.said()).decode().splitlines()
        return [json.loads(line.split(" ", 3)[3]) for line in lines]


def ranges(folder: Path, compare: str) -> Ranges:
    """page_cache.c for `golden.comparison`."""
    core = data_dir("minios_app")
    for name in (core / "checks/lib/page_cache.h", Path(__file__).parent / "little_memory.c"):
        shutil.copy(name, folder)
    source = folder / "little_memory.c"
    source.write_text(source.read_text().replace("KEEP_BYTES", str(int(compare == "bytes"))))
    parts = (core / "checks/lib/page_cache.c", core / "monitor" / "record.c", core / "monitor" / "cost.c")
    return Ranges(compile_shared(folder, "kept", source, *parts))


@pytest.fixture
def bytewise(tmp_path: Path) -> Ranges:
    return ranges(tmp_path, "bytes")


def test_enough_memory_is_not_worth_a_word(bytewise: Ranges) -> None:
    bytewise.give(PLENTY)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [True, True]
    assert bytewise.said() == []


def test_too_little_is_told_once(bytewise: Ranges) -> None:
    bytewise.give(6 * MIB)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [False, True]
    assert bytewise.said() == [{"type": "memory", "cached": 900, "digested": 2000}]
    assert bytewise.scan(TEXT, RODATA) == [False, True]
    assert bytewise.said() == []


def test_a_module_that_comes_later_is_told_if_nothing_was_yet(bytewise: Ranges) -> None:
    bytewise.give(14 * MIB)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [True, True]
    assert bytewise.said() == []
    bytewise.give(MIB)
    bytewise.open(MODULE)
    assert bytewise.scan(TEXT, RODATA, MODULE) == [True, True, False]
    assert bytewise.said() == [{"type": "memory", "cached": 2900, "digested": 100}]
    bytewise.close(MODULE)
    bytewise.open(MODULE)
    assert bytewise.scan(MODULE) == [False]
    assert bytewise.said() == []


def test_another_kernel_is_told_anew(bytewise: Ranges) -> None:
    for _ in range(2):
        bytewise.give(6 * MIB)
        bytewise.open(TEXT, RODATA)
        bytewise.scan(TEXT, RODATA)
        assert bytewise.said() == [{"type": "memory", "cached": 900, "digested": 2000}]
        bytewise.close(TEXT, RODATA)
    bytewise.give(PLENTY)
    bytewise.open(TEXT)
    assert bytewise.scan(TEXT) == [True]
    assert bytewise.said() == []


def test_who_did_not_ask_for_copies_is_told_nothing(tmp_path: Path) -> None:
    digests = ranges(tmp_path, "digest")
    digests.give(MIB)
    digests.open(TEXT, RODATA)
    assert digests.scan(TEXT, RODATA) == [False, False]
    assert digests.said() == []
    digests.close(TEXT, RODATA)
