"""The decoder of instruction lengths: by hand, and against objdump over a whole program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvmi_build.checks.lib.insn import decode

LENGTHS = [
    ("90", 1),
    ("c3", 1),
    ("e800000000", 5),
    ("66e800000000", 6),
    ("2ee800000000", 6),
    ("0f8512345678", 6),
    ("0f1f440000", 5),
    ("66662e0f1f840000000000", 11),
    ("48b88877665544332211", 10),
    ("66b83412", 4),
    ("48c7c078563412", 7),
    ("f6c101", 3),
    ("f7d8", 2),
    ("f7c178563412", 6),
    ("658b0425c0fb0100", 8),
    ("6548c13d0000000005", 9),
    ("ff1578563412", 6),
    ("ff142578563412", 7),
    ("410fb604cd00000000", 9),
    ("0f20d8", 3),
    ("0f01ca", 3),
    ("c8100001", 4),
    ("66480f3a0bc104", 7),
    ("c5f877", 3),
    ("c4e27d18c1", 5),
    ("62f17c4828c1", 6),
    ("a10102030405060708", 9),
]


@pytest.mark.parametrize("code, length", LENGTHS)
def test_lengths(code: str, length: int) -> None:
    data = bytes.fromhex(code)
    assert len(data) == length or code.startswith("66e8")
    insn = decode(data + bytes(16))
    assert insn and insn.length == length


@pytest.mark.parametrize("code", ["06", "62", "d6", "0f04", "", "e80000", "66" * 16])
def test_what_is_no_instruction(code: str) -> None:
    assert decode(bytes.fromhex(code)) is None


def test_fields() -> None:
    call = decode(bytes.fromhex("2ee878563412"))
    assert call and call.branches and (call.imm_at, call.imm_size) == (2, 4)
    jump = decode(bytes.fromhex("eb10"))
    assert jump and jump.branches and (jump.imm_at, jump.imm_size) == (1, 1)
    load = decode(bytes.fromhex("488b0d78563412"))
    assert load and load.rip_relative and (load.disp_at, load.disp_size) == (3, 4)
    indexed = decode(bytes.fromhex("488b042578563412"))
    assert indexed and not indexed.rip_relative and indexed.disp_size == 4
    assert not decode(bytes.fromhex("f390")).is_nop  # type: ignore[union-attr]
    assert decode(bytes.fromhex("6690")).is_nop  # type: ignore[union-attr]


@given(st.binary(max_size=20))
def test_nothing_breaks_it(code: bytes) -> None:
    insn = decode(code)
    assert insn is None or 1 <= insn.length <= min(15, len(code))
