"""Lines in, records out: nothing that a console can carry may raise or slip through."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvmi_build.records.protocol import (
    MAX_JSON,
    MAX_TEXT,
    Broken,
    LineSplitter,
    Record,
    Text,
    format_record,
    parse_line,
)
from tinyvmi_build.safe_text import safe

BEAT = {"type": "heartbeat", "scan": 3, "verdict": "intact", "uptime_ms": 99}


def framed(payload: str, seq: int = 0) -> str:
    return f"TVMI1 {seq} {zlib.crc32(f'{seq} {payload}'.encode()):08x} {payload}"


def reason_of(line) -> str:
    [item] = parse_line(line)
    assert isinstance(item, Broken), item
    return item.reason


def test_a_known_line_is_what_the_contract_says():
    line = format_record(7, {"type": "error", "where": "map", "what": "x"})
    assert line == 'TVMI1 7 b45d1cd0 {"type":"error","where":"map","what":"x"}'
    assert parse_line(line) == [Record(7, {"type": "error", "where": "map", "what": "x"})]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r\r\n"])
def test_line_ends_do_not_matter(end):
    assert parse_line(format_record(0, BEAT) + end) == [Record(0, BEAT)]
    assert parse_line((format_record(0, BEAT) + end).encode()) == [Record(0, BEAT)]


def test_other_text_passes_through_untouched():
    assert parse_line(b"Xen \x1b[2J\xff says hi\r\n") == [Text("Xen \x1b[2J\xff says hi")]
    assert parse_line("") == [] == parse_line("\r\r\n")


def test_a_record_after_text_without_a_line_end():
    assert parse_line("half a line" + format_record(1, BEAT)) == [Text("half a line"), Record(1, BEAT)]
    assert parse_line("we speak TVMI1 here") == [Text("we speak TVMI1 here")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("TVMI1", "malformed"),
        ("TVMI1 ", "malformed"),
        ("TVMI1 0 1234", "malformed"),
        ("TVMI1 00 " + framed("{}")[8:], "malformed"),
        ("TVMI1 -1 12345678 {}", "malformed"),
        ("TVMI1 0 ABCDEF01 {}", "malformed"),
        ("TVMI1 \u0661 12345678 {}".encode(), "not ASCII"),
        ("TVMI1 0 00000000 {}", "CRC"),
        (framed("{"), "JSON"),
        (framed('{"type":NaN}'), "JSON"),
        (framed('{"type":"x","type":"y"}'), "JSON"),
        (framed("[" * 1900), "JSON"),
        (framed("[]"), "no type"),
        (framed("{}"), "no type"),
        (framed('{"type":1}'), "no type"),
        (framed('{"type":"heartbeat"}'), "no 'scan'"),
        (framed('{"type":"heartbeat","scan":true,"verdict":"intact","uptime_ms":1}'), "'scan' is not"),
        (framed('{"type":"heartbeat","scan":1,"verdict":"fine","uptime_ms":1}'), "'verdict' is not"),
        (framed('{"type":"heartbeat","scan":1,"verdict":[],"uptime_ms":1}'), "'verdict' is not"),
        (framed('{"type":"' + "x" * MAX_JSON + '"}'), "over-long"),
    ],
)
def test_a_broken_record_says_why(line, reason):
    assert reason in reason_of(line)


def test_each_single_bit_error_in_a_record_is_seen():
    good = format_record(12, BEAT).encode()
    for position in range(len("TVMI1 ") * 8, len(good) * 8):
        bad = bytearray(good)
        bad[position // 8] ^= 1 << (position % 8)
        assert not any(isinstance(item, Record) for item in parse_line(bytes(bad).replace(b"\n", b"?")))


def test_unknown_types_and_fields_are_records():
    assert parse_line(framed('{"type":"weather","sun":1}')) == [Record(0, {"type": "weather", "sun": 1})]
    assert isinstance(parse_line(format_record(0, BEAT | {"extra": [1]}))[0], Record)


def test_format_refuses_what_is_over_long():
    with pytest.raises(ValueError, match="2000 bytes"):
        format_record(0, {"type": "x" * MAX_JSON})


def test_safe_lets_no_control_character_through():
    assert safe("a\x1b[2J\x00\x7f\x9b\u202e\tz") == "a\\x1b[2J\\x00\\x7f\\x9b\\u202e\tz"


@given(st.text())
def test_safe_is_printable_ascii(text):
    assert all(" " <= c <= "~" or c == "\t" for c in safe(text))


def test_the_splitter_joins_chunks_and_bounds_lines():
    lines = LineSplitter()
    assert lines.feed(b"ab") == []
    assert lines.feed(b"c\r\nd\n\ne") == [b"abc\r", b"d", b""]
    assert lines.feed(b"x" * 3 * MAX_TEXT) == []
    assert lines.feed(b"y\nnext") == [b"e" + b"x" * (MAX_TEXT - 1)]
    assert lines.flush() == [b"next"]
    assert lines.flush() == []


@given(st.binary(max_size=300), st.integers(1, 9))
def test_the_splitter_does_not_care_how_bytes_are_cut(data, size):
    lines = LineSplitter()
    out = [line for i in range(0, len(data), size) for line in lines.feed(data[i : i + size])]
    assert b"\n".join(out + [b"".join(lines.flush())]) == data
