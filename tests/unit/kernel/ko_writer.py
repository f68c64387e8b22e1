"""Small relocatable ELF files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

_FLAGS = {"W": 1, "A": 2, "X": 4}
Given = bytes | tuple[bytes, str, int]  # content, or (content, flags as readelf's letters, alignment)


def module(sections: Mapping[str, Given]) -> bytes:
    """A .ko with `sections`, without symbols."""
    body, names, headers = bytearray(64), bytearray(b"\0"), [bytes(64)]
    for name, given in sections.items():
        content, letters, align = given if isinstance(given, tuple) else (given, "A", 1)
        flags = sum(_FLAGS[letter] for letter in letters)
        kind = 8 if name == ".bss" else 1
        headers.append(_header(len(names), kind, flags, len(body), len(content), align))
        names += name.encode() + b"\0"
        body += content
    headers.append(_header(len(names), 3, 0, len(body), len(names) + 10, 1))
    names += b".shstrtab\0"
    body += names
    ident = b"\x7fELF\2\1\1" + bytes(9)
    body[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 1, 62, 1, 0, 0, len(body), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    return bytes(body) + b"".join(headers)


def _header(name: int, kind: int, flags: int, offset: int, size: int, align: int) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, 0, offset, size, 0, 0, align, 0)
