"""The record stream on a monitor's console: `TVMI1 <seq> <crc> <json>`.

`parse_line` never raises: a line is a `Record`, plain `Text`, or a `Broken`
record with the reason.  A line that opens like a record but is not one is
always `Broken`, so that damage is seen and cannot pass for chatter.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MARK = "TVMI1 "
MAX_JSON = 2000  # bytes of the JSON object
MAX_LINE = len(MARK) + 20 + 1 + 8 + 1 + MAX_JSON  # seq has at most 20 digits (64 bits)
MAX_TEXT = 4096  # longer lines of other text are cut here

_HEAD = re.compile(r"TVMI1 (0|[1-9][0-9]{0,19}) ([0-9a-f]{8}) (.*)", re.ASCII | re.DOTALL)
_VERDICTS = ("intact", "tampered", "unverifiable", "error")
_ADDRESS = re.compile(r"0x[0-9a-f]{16}", re.ASCII)
_HEX = re.compile(r"([0-9a-f]{2})*", re.ASCII)


@dataclass(frozen=True)
class Record:
    """One good record; `body` is the JSON object, `body["type"]` its type."""

    seq: int
    body: dict[str, Any] = field(hash=False)

    @property
    def type(self) -> str:
        return str(self.body["type"])


@dataclass(frozen=True)
class Text:
    """Console output that is no record (still raw: use `safe` before a terminal)."""

    text: str


@dataclass(frozen=True)
class Broken:
    """A line that claims to be a record and is not; or a place where the stream does not fit together."""

    reason: str
    line: str = ""


def safe(text: str) -> str:
    """`text` with everything but printable ASCII and tabs made visible (`\\xNN`, `\\uNNNN`)."""
    return "".join(
        c if " " <= c <= "~" or c == "\t" else f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
        for c in text
    )


def format_record(seq: int, body: dict[str, Any]) -> str:
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
        # Text without a line end came first.  Chatter that only mentions the mark stays chatter: if a
        # record is damaged here, the gap in the sequence tells.
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
    problem = shape_error(body)
    return broken(problem) if problem else Record(seq, body)


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("duplicate key")
    return body


# The shapes of records.schema.json, in a form that needs no library: a dom0 has only Python itself.
# tests/unit/records/test_schema.py keeps the two equal.


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _among(*values: Any) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, bool) and value in values


def _profiles(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(p, dict) and _build_id(p.get("build_id")) and _text(p.get("release")) for p in value
    )


_address = _matches(_ADDRESS)
_hex = _matches(_HEX)
_build_id = _matches(re.compile(r"[0-9a-f]{40}", re.ASCII))
_verdict = _among(*_VERDICTS)

SHAPES: dict[str, dict[str, Callable[[Any], bool]]] = {
    "hello": {
        "abi": _among(2),
        "image": _matches(re.compile(r"[0-9a-f]{16}", re.ASCII)),
        "nonce": _matches(re.compile(r"[0-9a-f]{0,32}", re.ASCII)),
        "target": _count,
        "base": _text,
        "profiles": _profiles,
        "period_ms": _count,
    },
    "kernel": {
        "profile": _count,
        "build_id": _build_id,
        "release": _text,
        "text_pa": _address,
        "text_va": _address,
        "delta": _address,
        "root_pa": _address,
        "levels": _among(4, 5),
        "duration_us": _count,
    },
    "check": {
        "scan": _count,
        "check": _text,
        "verdict": _verdict,
        "items": _count,
        "findings": _count,
        "duration_us": _count,
    },
    "finding": {
        "scan": _count,
        "check": _text,
        "kind": _text,
        "symbol": _text,
        "offset": _count,
        "address": _address,
        "expected": _hex,
        "actual": _hex,
    },
    "notice": {
        "scan": _count,
        "check": _text,
        "kind": _text,
        "symbol": _text,
        "offset": _count,
        "address": _address,
        "expected": _hex,
        "actual": _hex,
    },
    "cost": {
        "scan": _count,
        "check": _text,
        "took_ns": _count,
        "map_ns": _count,
        "map_pages": _count,
        "map_calls": _count,
    },
    "heartbeat": {"scan": _count, "verdict": _verdict, "uptime_ms": _count},
    "tracking": {"frames": _count},
    "memory": {"cached": _count, "digested": _count},
    "waiting": {"reason": _text},
    "error": {"where": _text, "what": _text},
    "bye": {"scan": _count, "verdict": _verdict, "reason": _text},
}
OPTIONAL: dict[str, dict[str, Callable[[Any], bool]]] = {
    "hello": {"base_rev": _text, "digest": _text},
    "kernel": {"pv": _among(1)},
    "check": {"reason": _text, "notices": _count},
    "cost": {"incremental": _among(1)}
    | dict.fromkeys(("read_ns", "sites_ns", "hash_ns", "report_ns"), _count),
    "finding": {"note": _text, "owner": _text, "target": _address},
    "notice": {"note": _text, "owner": _text, "target": _address},
    "tracking": {"reason": _text},
    "waiting": {"banner": _text},
}


def shape_error(body: dict[str, Any]) -> str | None:
    """What is wrong with the fields of a record of a known type; None if nothing (or the type is unknown)."""
    kind = body["type"]
    for name, good in SHAPES.get(kind, {}).items():
        if name not in body:
            return f"the {kind} record has no '{name}'"
        if not good(body[name]):
            return f"the {kind} record's '{name}' is not what the contract says"
    for name, good in OPTIONAL.get(kind, {}).items():
        if name in body and not good(body[name]):
            return f"the {kind} record's '{name}' is not what the contract says"
    return None
