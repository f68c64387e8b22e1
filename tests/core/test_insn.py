"""The core's decoder of instructions says what the generator's says."""

from __future__ import annotations

import ctypes
import random

import pytest

from tests.core.conftest import compile_shared
from tinyvmi_build.checks.lib.insn import decode
from tinyvmi_build.paths import data_dir


class Insn(ctypes.Structure):
    """struct tv_insn"""

    _fields_ = [
        *((name, ctypes.c_uint8) for name in ("length", "disp_at", "disp_size", "imm_at", "imm_size")),
        *((name, ctypes.c_bool) for name in ("rip_relative", "branches")),
    ]


@pytest.fixture(scope="module", params=["gcc", "clang"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    source = data_dir("minios_app") / "checks/lib/insn.c"
    made = compile_shared(tmp_path_factory.mktemp("insn"), "insn", source, compiler=request.param)
    made.tv_insn_decode.restype = ctypes.c_bool
    made.tv_insn_move.restype = ctypes.c_bool
    return made


def decoded(library: ctypes.CDLL, code: bytes) -> tuple[int, ...] | None:
    insn = Insn()
    if not library.tv_insn_decode(code, len(code), ctypes.byref(insn)):
        return None
    return (
        insn.length,
        insn.disp_at,
        insn.disp_size,
        insn.imm_at,
        insn.imm_size,
        insn.rip_relative,
        insn.branches,
    )


def expected(code: bytes) -> tuple[int, ...] | None:
    insn = decode(code)
    if insn is None:
        return None
    return (
        *(insn.length, insn.disp_at if insn.disp_size else 0, insn.disp_size, insn.imm_at, insn.imm_size),
        *(insn.rip_relative, insn.branches),
    )  # fmt: skip


def test_random_bytes(library: ctypes.CDLL) -> None:
    rng = random.Random(20)
    starts = [
        b"",
        b"\x48",
        b"\x66",
        b"\x0f",
        b"\x0f\x38",
        b"\xc5",
        b"\xc4",
        b"\x62",
        b"\xf3\x0f",
        b"\x65\x48",
    ]
    seen = 0
    for number in range(60_000):
        code = (starts[number % len(starts)] + rng.randbytes(16))[:16]
        wanted, got = expected(code), decoded(library, code)
        if got is not None and not got[2]:
            got = (got[0], 0, *got[2:])  # where there is no displacement its place means nothing
        assert got == wanted, code.hex()
        seen += wanted is not None
    assert seen > 30_000


@pytest.mark.parametrize("code", ["", "48", "0f", "e800", "488b15", "0f1f84000000", "c4", "62f1"])
def test_what_is_cut_short_is_none(library: ctypes.CDLL, code: str) -> None:
    assert decoded(library, bytes.fromhex(code)) is None


def moved(library: ctypes.CDLL, code: str, start: int, to: int) -> str | None:
    buffer = ctypes.create_string_buffer(bytes.fromhex(code), len(code) // 2)
    good = library.tv_insn_move(buffer, len(buffer), ctypes.c_uint64(start), ctypes.c_uint64(to))
    return buffer.raw.hex() if good else None


def test_what_leads_out_is_moved(library: ctypes.CDLL) -> None:
    start, to = 0xFFFFFFFF81000000, 0xFFFFFFFFC0001000
    by = start - to & 0xFFFFFFFF
    far = (0x1000 + by & 0xFFFFFFFF).to_bytes(4, "little").hex()
    assert moved(library, "e800100000" + "c3", start, to) == f"e8{far}c3"
    assert moved(library, "65488305001000000190", start, to) == f"65488305{far}0190"
    # Within the copy, and of one byte: as it was.
    assert moved(library, "e801000000" + "c3" + "90", start, to) == "e801000000c390"
    assert moved(library, "7501" + "90" + "c3", start, to) == "750190c3"
    assert moved(library, "c3e8", start, to) is None  # it does not end with an instruction
