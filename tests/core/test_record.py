"""The monitor's records as the collector reads them."""

from __future__ import annotations

import ctypes
import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tests.core.conftest import Writer


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
    writer = Writer(record_library)
    writer.begin(b"finding")
    writer.string(b"note", text)
    writer.uint(b"offset", ctypes.c_uint64(number))
    writer.address(b"address", ctypes.c_uint64(number))
    writer.hex(b"actual", text, ctypes.c_size_t(len(text)))
    writer.end()
    _, body = parse(writer.last())
    assert body == {
        "type": "finding",
        "note": text.decode("latin-1"),
        "offset": number,
        "address": f"0x{number:016x}",
        "actual": text.hex(),
    }


def test_records_are_numbered_without_a_gap(writer: Writer) -> None:
    seen = []
    for _ in range(12):
        writer.begin(b"heartbeat")
        writer.end()
        seen.append(parse(writer.last())[0])
    assert seen == list(range(12))


def test_arrays_and_objects(writer: Writer) -> None:
    writer.begin(b"hello")
    writer.open_array(b"profiles")
    for release in (b"6.1", b"6.12"):
        writer.open_object()
        writer.string(b"release", release)
        writer.uint(b"n", ctypes.c_uint64(1))
        writer.close_object()
    writer.close_array()
    writer.string(b"base", b"x")
    writer.end()
    assert parse(writer.last())[1] == {
        "type": "hello",
        "profiles": [{"release": "6.1", "n": 1}, {"release": "6.12", "n": 1}],
        "base": "x",
    }


def test_a_record_over_its_bound_becomes_an_error(writer: Writer) -> None:
    writer.begin(b"finding")
    writer.string(b"note", b"x" * 3000)
    writer.end()
    assert parse(writer.last())[1]["type"] == "error"
