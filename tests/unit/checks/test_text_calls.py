"""The table of counted calls and of the padding in front of functions: what is in it, how it is written."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.calls import PAD_COUNTED, PAD_MAYBE, Counted, calls_of, padded
from tinyvmi_build.checks.text.patch import branch
from tinyvmi_build.profile.encoding import U16s, U32s

TEXT = 0xFFFFFFFFC0000000
KERNEL = 0xFFFFFFFF82000000
OWN, QUIET, BARE = TEXT + 0x40, TEXT + 0x1008, TEXT + 0x80


def code(calls: list[int], functions: tuple[int, ...] = (), regions: tuple[Any, ...] = ()) -> Any:
    facts = SimpleNamespace(accounts=lambda va: va in (KERNEL, OWN, QUIET), call_thunk=(0, 10))
    r = SimpleNamespace(
        facts=facts, sites=SimpleNamespace(calls=calls), regions=regions,
        series=SimpleNamespace(call_thunks="after"),
    )  # fmt: skip
    return SimpleNamespace(r=r, text=TEXT, etext=TEXT + 0x2000, npages=2, functions=functions)


def memory(calls: dict[int, int]) -> bytes:
    data = bytearray(0x2000)
    for at, target in calls.items():
        data[at : at + 5] = branch(0xE8, TEXT + at, target)
    return bytes(data)


def test_distances_and_borders() -> None:
    data = memory({0x10: KERNEL, 0x400: KERNEL, 0xFFE: KERNEL, 0x1800: KERNEL + 1})
    index, gaps = Counted(code([TEXT + at for at in (0x400, 0x10, 0xFFE, 0x1800, 0x1900)]), data).tables()
    bounds, made = list(index), SimpleNamespace(call_index=index, call_gaps=gaps)
    first, second = (gaps.data[bounds[i] : bounds[i + 1]] for i in (0, 1))
    # From 16 bytes before the page: 0x20, then 0x3f0 = 3 * 255 + 0xf3, then 0xbfe.
    assert first == bytes([0x20, 255, 255, 255, 0xF3]) + b"\xff" * 12 + bytes([0xBFE - 12 * 255])
    # The one over the border once more; that which is not counted is not in it.
    assert second == bytes([0x0E])
    assert [list(calls_of(made, page)) for page in (0, 1)] == [[0x10, 0x400, 0xFFE], [-2]]


def test_what_stands_in_front_of_functions() -> None:
    data = memory({0x10: OWN, 0x20: BARE})
    found = Counted(code([TEXT + 0x10, TEXT + 0x20], (OWN, BARE, QUIET)), data)
    assert found.calls == [TEXT + 0x10]
    assert found.pads == {OWN: PAD_COUNTED, QUIET: PAD_MAYBE}
    tables = SimpleNamespace(
        function_index=U32s.of([0, 2, 3]),
        functions=U16s.of([PAD_COUNTED << 12 | 0x40, 0x80, PAD_MAYBE << 12 | 0x8]),
    )
    # That of the second page begins in the first.
    assert [list(padded(tables, page)) for page in (0, 1)] == [[0x40, 0x1008], [0x8]]


def test_what_is_another_place_is_left_to_it() -> None:
    data = memory({0x10: KERNEL, 0x20: OWN})
    regions = (SimpleNamespace(va=TEXT + 0x10, size=5), SimpleNamespace(va=OWN - 4, size=2))
    found = Counted(code([TEXT + 0x10], (OWN,), regions), data)
    assert found.calls == [] and found.pads == {}
    assert found.tables()[1].data == b""


def test_a_call_of_no_function_is_named() -> None:
    data = memory({0x10: OWN})
    with pytest.raises(UnsupportedError, match="which is no function"):
        Counted(code([TEXT + 0x10]), data)
    assert Counted(code([TEXT + 0x10], functions=(OWN,)), data).tables()[1].data == b"\x20"
