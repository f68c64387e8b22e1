"""With too little memory for copies pages are digested, and that is reported: once for each kernel."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.conftest import check_table, compile_shared
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
        library.reported.restype = ctypes.c_char_p
        library.ready.restype = library.open_range.restype = ctypes.c_bool

    def give(self, size: int) -> None:
        self._library.give(size)

    def open(self, *which: int) -> None:
        for i in which:
            assert self._library.open_range(i, PAGES[i])

    def scan(self, *which: int) -> list[bool]:
        """Which have copies, of those that a scan checks."""
        return [bool(self._library.ready(i)) for i in which]

    def another_kernel(self) -> None:
        self._library.another_kernel()

    def close(self, *which: int) -> None:
        for i in which:
            self._library.close_range(i)

    def reported(self) -> list[dict[str, Any]]:
        """What is reported at the end of a scan."""
        lines = bytes(self._library.reported()).decode().splitlines()
        return [json.loads(line.split(" ", 3)[3]) for line in lines]


def ranges(folder: Path, compare: str) -> Ranges:
    """page_cache.c for `golden.comparison`."""
    core = data_dir("minios_app")
    source = folder / "little_memory.c"
    text = (Path(__file__).parent / "little_memory.c").read_text()
    source.write_text(text.replace("KEEP_BYTES", str(int(compare == "bytes"))))
    names = ("checks/lib/page_cache.c", "checks/lib/findings.c", "introspect/cost.c", "digest/crc32.c")
    parts = [core / name for name in (*names, "monitor/record.c", "monitor/records.c")]
    return Ranges(compile_shared(folder, "page_cache", source, check_table(folder), *parts))


@pytest.fixture
def bytewise(tmp_path: Path) -> Ranges:
    return ranges(tmp_path, "bytes")


def test_enough_memory_is_not_worth_a_word(bytewise: Ranges) -> None:
    bytewise.give(PLENTY)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [True, True]
    assert bytewise.reported() == []


def test_too_little_is_reported_once(bytewise: Ranges) -> None:
    bytewise.give(6 * MIB)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [False, True]
    assert bytewise.reported() == [{"type": "memory", "cached": 900, "digested": 2000}]
    assert bytewise.scan(TEXT, RODATA) == [False, True]
    assert bytewise.reported() == []


def test_a_module_that_comes_later_is_reported_if_nothing_was_yet(bytewise: Ranges) -> None:
    bytewise.give(14 * MIB)
    bytewise.open(TEXT, RODATA)
    assert bytewise.scan(TEXT, RODATA) == [True, True]
    assert bytewise.reported() == []
    bytewise.give(MIB)
    bytewise.open(MODULE)
    assert bytewise.scan(TEXT, RODATA, MODULE) == [True, True, False]
    assert bytewise.reported() == [{"type": "memory", "cached": 2900, "digested": 100}]
    bytewise.close(MODULE)
    bytewise.open(MODULE)
    assert bytewise.scan(MODULE) == [False]
    assert bytewise.reported() == []


def test_another_kernel_is_reported_anew(bytewise: Ranges) -> None:
    for _ in range(2):
        bytewise.give(6 * MIB)
        bytewise.open(TEXT, RODATA)
        bytewise.scan(TEXT, RODATA)
        assert bytewise.reported() == [{"type": "memory", "cached": 900, "digested": 2000}]
        bytewise.close(TEXT, RODATA)
        bytewise.another_kernel()
    bytewise.give(PLENTY)
    bytewise.open(TEXT)
    assert bytewise.scan(TEXT) == [True]
    assert bytewise.reported() == []


def test_nothing_is_reported_where_copies_are_not_configured(tmp_path: Path) -> None:
    digests = ranges(tmp_path, "digest")
    digests.give(MIB)
    digests.open(TEXT, RODATA)
    assert digests.scan(TEXT, RODATA) == [False, False]
    assert digests.reported() == []
    digests.close(TEXT, RODATA)
