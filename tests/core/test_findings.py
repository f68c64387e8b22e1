"""What a check reports: bounded, counted beyond the bound, and of a changed page the lines that differ."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path

import pytest

from tests.core.conftest import check_table, compile_shared
from tinyvmi_build.checks import registry
from tinyvmi_build.paths import data_dir

KINDS = [kind.name for kind in registry.finding_kinds()]
PAGE = random.Random(7).randbytes(4096)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("findings")
    lib = data_dir("minios_app") / "checks" / "lib"
    sources = [lib / "findings.c", lib / "digest_range.c", lib.parents[1] / "digest" / "crc32.c"]
    table = check_table(folder)
    made = compile_shared(folder, "findings", Path(__file__).parent / "findings.c", table, *sources)
    made.symbol.restype = made.note.restype = ctypes.c_char_p
    made.offset.restype = ctypes.c_uint64
    made.report_to_nobody.restype = ctypes.c_bool
    made.reset()
    return made


def test_texts_and_bytes_are_cut_to_their_bounds(core: ctypes.CDLL) -> None:
    core.reset()
    core.report(b"s" * 500, b"n" * 500, KINDS.index("bytes"), 4096)
    core.report(b"symbol", None, KINDS.index("bytes"), 3)
    assert (core.symbol(0), core.note(0), core.actual_size(0)) == (b"s" * 63, b"n" * 143, 128)
    assert (core.symbol(1), core.note(1), core.actual_size(1)) == (b"symbol", b"", 3)


def test_all_are_counted_and_those_that_pass_apart(core: ctypes.CDLL) -> None:
    core.reset()
    for _ in range(20):
        core.report(b"a", None, KINDS.index("ftrace"), 0)
    core.report(b"b", None, KINDS.index("bytes"), 0)
    assert (core.findings(), core.lasting()) == (21, 1)
    assert core.symbol(15) == b"a"


def test_nothing_is_reported_to_nobody(core: ctypes.CDLL) -> None:
    core.reset()
    assert core.report_to_nobody()


@pytest.mark.parametrize(("line", "sums"), [(64, 2), (128, 1)])
@pytest.mark.parametrize("size", [4096, 1000])
def test_changed_lines_are_found(core: ctypes.CDLL, line: int, sums: int, size: int) -> None:
    """The last line, too, which may be short."""
    changed = bytearray(PAGE)
    places = [5, 3 * line + 1, size - 1]
    for at in places:
        changed[at] ^= 0x40
    core.lines(PAGE, bytes(changed), size, line, sums)
    assert core.findings() == 3
    assert [core.offset(i) - 0x1000 for i in range(3)] == [at // line * line for at in places]
    assert core.actual_size(2) == (size - 1) % line + 1
    assert {core.kind(i) for i in range(3)} == {KINDS.index("bytes")}


def test_a_page_whose_lines_are_all_alike_is_reported_by_its_digest(core: ctypes.CDLL) -> None:
    core.lines(PAGE, PAGE, 4096, 64, 2)
    assert (core.findings(), core.kind(0)) == (1, KINDS.index("page-digest"))
