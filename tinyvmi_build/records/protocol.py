"""The record stream on a monitor's console: `TVMI1 <seq> <crc> <json>`.

`parse_line` never raises: a line is a `Record`, plain `Text`, or a `Broken`
record with the reason.  A line that begins like a record and is none is always `Broken`, so that
damage is seen and does not pass for other text.  format.py has the fields of the records.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

from tinyvmi_build.records import format
from tinyvmi_build.records.format import RecordData

MARK = "TVMI1 "
MAX_JSON = 2000  # bytes of the JSON object
MAX_LINE = len(MARK) + 20 + 1 + 8 + 1 + MAX_JSON  # seq has at most 20 digits (64 bits)
MAX_TEXT = 4096  # longer lines of other text are cut here

_HEAD = re.compile(r"TVMI1 (0|[1-9][0-9]{0,19}) ([0-9a-f]{8}) (.*)", re.ASCII | re.DOTALL)
Body = dict[str, Any]  # the JSON object of a record


@dataclass(frozen=True)
class Record:
    """One good record; `body` is its JSON object."""

    seq: int
    body: Body = field(hash=False)

    @property
    def type(self) -> str:
        """One of format.TYPES, or a type that this version does not know."""
        return str(self.body["type"])

    @property
    def data(self) -> RecordData | None:
        """Its fields; None if its type is unknown."""
        return format.read(self.body)


@dataclass(frozen=True)
class Text:
    """Console output that is no record (still raw: use safe() before a terminal)."""

    text: str


@dataclass(frozen=True)
class Broken:
    """A line that claims to be a record and is not; or a place where the stream does not fit together."""

    reason: str
    line: str = ""


def format_record(seq: int, body: Body) -> str:
    """The line (no line end) of record `seq`; ValueError if it is over-long."""
    text = json.dumps(body, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_JSON:
        raise ValueError(f"a record may have {MAX_JSON} bytes of JSON, this one has {len(text)}")
    return f"{MARK}{seq} {_crc(seq, text):08x} {text}"


def parse_line(line: str | bytes) -> list[Record | Text | Broken]:
    """What one console line holds: at most one record, with the text before it if it began mid-line."""
    text = line.decode("latin-1") if isinstance(line, bytes) else line
    text = text.rstrip("\r\n")
    at = text.find(MARK)
    if at == 0 or text == MARK.rstrip():
        return [_record(text)]
    if at > 0:
        # Text without a line end came first.  Text that only mentions the mark stays text: if a record
        # is damaged here, the gap in the sequence shows it.
        parsed = _record(text[at:])
        if isinstance(parsed, Record):
            return [Text(text[:at]), parsed]
    return [Text(text[:MAX_TEXT])] if text else []


class LineSplitter:
    """Chunks of console bytes → lines; bounded however long a line is, so a flood cannot fill memory."""

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines completed by `chunk`, each cut to MAX_TEXT bytes."""
        *done, rest = chunk.split(b"\n")
        lines = []
        for piece in done:
            self._append(piece)
            lines.append(bytes(self._partial))
            self._partial.clear()
        self._append(rest)
        return lines

    def flush(self) -> list[bytes]:
        """The last line, if the stream ended inside it."""
        lines = [bytes(self._partial)] if self._partial else []
        self._partial.clear()
        return lines

    def _append(self, piece: bytes) -> None:
        self._partial += piece[: MAX_TEXT - len(self._partial)]


def _crc(seq: int, text: str) -> int:
    return zlib.crc32(f"{seq} {text}".encode("ascii"))


def _record(text: str) -> Record | Broken:
    def broken(reason: str) -> Broken:
        return Broken(reason, text[:MAX_TEXT])

    if len(text) > MAX_LINE:
        return broken("the record is over-long")
    if not text.isascii():
        return broken("the record is not ASCII")
    match = _HEAD.fullmatch(text)
    if not match:
        return broken("the record is cut short or malformed")
    seq, crc, payload = int(match[1]), match[2], match[3]
    if len(payload) > MAX_JSON:
        return broken("the record is over-long")
    if f"{_crc(seq, payload):08x}" != crc:
        return broken("the record's CRC is wrong")
    try:
        body = json.loads(payload, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return broken("the record's JSON is broken")
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        return broken("the record has no type")
    problem = format.shape_error(body)
    return broken(problem) if problem else Record(seq, body)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _unique(pairs: list[tuple[str, Any]]) -> Body:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("duplicate key")
    return body
