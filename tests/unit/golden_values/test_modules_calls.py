"""The table of a module's counted calls: which are in it, and how their distances are written."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest

from tinyvmi_build.golden.modules.calls import tables
from tinyvmi_build.golden.text.patch import branch
from tinyvmi_build.golden.unknown import Unknown

TEXT = 0xFFFFFFFFC0000000
KERNEL = 0xFFFFFFFF82000000


def code(calls: list[int], functions: tuple[int, ...] = (), regions: tuple[Any, ...] = ()) -> Any:
    facts = SimpleNamespace(accounts=lambda va: va in (KERNEL, TEXT + 0x40))
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
    made = tables(code([TEXT + at for at in (0x400, 0x10, 0xFFE, 0x1800, 0x1900)]), data)
    index = struct.unpack("<3I", made["call_index"])
    first, second = (made["call_gaps"][index[i] : index[i + 1]] for i in (0, 1))
    # From 16 bytes before the page: 0x20, then 0x3f0 = 3 * 255 + 0xf3, then 0xbfe.
    assert first == bytes([0x20, 255, 255, 255, 0xF3]) + b"\xff" * 12 + bytes([0xBFE - 12 * 255])
    assert second == bytes(
        [0x0E]
    )  # the one over the border once more; that which is not counted is not in it


def test_what_is_another_place_is_left_to_it() -> None:
    data = memory({0x10: KERNEL})
    region = SimpleNamespace(va=TEXT + 0x10, size=5)
    assert tables(code([TEXT + 0x10], regions=(region,)), data)["call_gaps"] == b""


def test_a_call_of_no_function_is_named() -> None:
    data = memory({0x10: TEXT + 0x40})
    with pytest.raises(Unknown, match="which is no function"):
        tables(code([TEXT + 0x10]), data)
    assert tables(code([TEXT + 0x10], functions=(TEXT + 0x40,)), data)["call_gaps"] == b"\x20"
