"""The monitor's records as the collector reads them."""

from __future__ import annotations

import ctypes
import json
import zlib

from hypothesis import given
from hypothesis import strategies as st


def parse(line: bytes) -> tuple[int, dict[str, object]]:
    assert line.endswith(b"\n")
    magic, seq, crc, text = line[:-1].split(b" ", 3)
    assert magic == b"TVMI1"
    assert crc == b"%08x" % zlib.crc32(seq + b" " + text)
    assert all(0x20 <= byte <= 0x7E for byte in text)
    assert len(text) <= 2000
    return int(seq), json.loads(text)


@given(data=st.binary(max_size=4096))
def test_crc32_is_zlibs(record_library: ctypes.CDLL, data: bytes) -> None:
    record_library.tv_crc32.restype = ctypes.c_uint32
    assert record_library.tv_crc32(0, data, ctypes.c_size_t(len(data))) == zlib.crc32(data)


@given(text=st.binary(max_size=200).map(lambda b: b.replace(b"\0", b"")), number=st.integers(0, 2**64 - 1))
def test_hostile_text_stays_inside_its_string(record_library: ctypes.CDLL, text: bytes, number: int) -> None:
    lib = record_library
    lib.tv_rec_begin(b"finding")
    lib.tv_rec_str(b"note", text)
    lib.tv_rec_uint(b"offset", ctypes.c_uint64(number))
    lib.tv_rec_addr(b"address", ctypes.c_uint64(number))
    lib.tv_rec_hex(b"actual", text, ctypes.c_size_t(len(text)))
    lib.tv_rec_end()
    _, body = parse(lib.last())
    assert body == {
        "type": "finding",
        "note": text.decode("latin-1"),
        "offset": number,
        "address": f"0x{number:016x}",
        "actual": text.hex(),
    }


def test_records_are_numbered_without_a_gap(record_library: ctypes.CDLL) -> None:
    seen = []
    for _ in range(12):
        record_library.tv_rec_begin(b"heartbeat")
        record_library.tv_rec_end()
        seen.append(parse(record_library.last())[0])
    assert seen == list(range(seen[0], seen[0] + 12))


def test_arrays_and_objects(record_library: ctypes.CDLL) -> None:
    lib = record_library
    lib.tv_rec_begin(b"hello")
    lib.tv_rec_open_array(b"profiles")
    for release in (b"6.1", b"6.12"):
        lib.tv_rec_open_object()
        lib.tv_rec_str(b"release", release)
        lib.tv_rec_uint(b"n", ctypes.c_uint64(1))
        lib.tv_rec_close_object()
    lib.tv_rec_close_array()
    lib.tv_rec_str(b"base", b"x")
    lib.tv_rec_end()
    assert parse(lib.last())[1] == {
        "type": "hello",
        "profiles": [{"release": "6.1", "n": 1}, {"release": "6.12", "n": 1}],
        "base": "x",
    }


def test_a_record_over_its_bound_becomes_an_error(record_library: ctypes.CDLL) -> None:
    record_library.tv_rec_begin(b"finding")
    record_library.tv_rec_str(b"note", b"x" * 3000)
    record_library.tv_rec_end()
    assert parse(record_library.last())[1]["type"] == "error"
