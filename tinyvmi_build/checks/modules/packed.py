"""A module's tables as one blob of a profile: u32 size of a JSON header, the header, the tables.

Standard library alone: a dom0 reads it to name functions.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

_PAGE = 4096


def packed(golden: dict[str, Any], tables: Mapping[str, bytes]) -> bytes:
    """`golden` is JSON; `tables` are bytes by name."""
    places, at = {}, 0
    for name, data in sorted(tables.items()):
        places[name] = [at, len(data)]
        at += len(data)
    header = json.dumps({"golden": golden, "tables": places}, sort_keys=True).encode("ascii")
    return struct.pack("<I", len(header)) + header + b"".join(data for _, data in sorted(tables.items()))


def unpacked(blob: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `packed` was given."""
    (size,) = struct.unpack_from("<I", blob)
    header = json.loads(blob[4 : 4 + size])
    body = blob[4 + size :]
    return header["golden"], {n: body[at : at + size] for n, (at, size) in header["tables"].items()}


class AsText:
    """A module's tables where `golden.text.places` looks for a kernel's: its code at `va`.

    `text` are the kernel's values.  Targets of jump labels and keys stay where the generator's
    address space has them.
    """

    def __init__(self, text: dict[str, Any], module: dict[str, Any], tables: Mapping[str, bytes], va: int):
        own = {name: module[name] for name in ("shapes", "templates")}
        self.golden: dict[str, Any] = {"text": text | own | {"va": va, "size": module["sizes"]["TEXT"]}}
        self._tables = tables

    def blob(self, name: str) -> bytes:
        return self._tables[name]


def nearest(tables: Mapping[str, bytes], offset: int) -> tuple[str, int] | None:
    """The function at or below `offset` of the module's code, and how far into it that is."""
    index = struct.iter_unpack("<I", tables["text.function_index"])
    offsets = struct.iter_unpack("<H", tables["text.functions"])
    names = tables["names"].decode("ascii").split("\n")
    first = next(index)[0]
    best: tuple[str, int] | None = None
    number = 0
    for page, (end,) in enumerate(index):
        for _ in range(first, end):
            at = page * _PAGE + next(offsets)[0] % _PAGE
            if at > offset:
                return best
            best = names[number], offset - at
            number += 1
        first = end
    return best
