"""Pages of a module: sums that say where a change is, and how addresses are taken back.

A page's records are groups, one a class (what a value counts from, and how),
in bytes: class, u16 count, and then of each its distance from the one before,
from 8 bytes before the page on; 255 stands for 255 more to come.  A class with
bit 7 set is a row: u16 count, u16 first offset, u8 distance.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

from tinyvmi_build.checks.lib.digest_range import BIAS, PAGE
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.modules.link import SIZES, Field, Record

#: Bytes of a line with a sum of its own.
LINE = 128
_ROW = 0x80
_ROW_MIN = 8
CLASSES_MAX = 0x80

Classes = dict[tuple[Field, int], int]  # (field, region) → number


def split(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Pages, and of each the 8-bit sums of its lines."""
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    sums = [bytes(zlib.crc32(page[at : at + LINE]) & 0xFF for at in range(0, PAGE, LINE)) for page in pages]
    return pages, sums


def by_page(records: Iterable[Record], start: int, npages: int, classes: Classes) -> list[bytes]:
    """The groups of each page; a value that crosses a border stands in both pages."""
    pages: list[dict[int, list[int]]] = [{} for _ in range(npages)]
    for va, field, region in records:
        number = classes.setdefault((field, region), len(classes))
        first = (va - start) // PAGE
        last = (va + SIZES[field] - 1 - start) // PAGE
        for page in (first,) if first == last else (first, last):
            if 0 <= page < npages:
                pages[page].setdefault(number, []).append(va - start - page * PAGE + BIAS)
    if len(classes) > CLASSES_MAX:
        raise UnsupportedError(f"its relocations are of {len(classes)} classes")
    return [b"".join(_group(number, offsets) for number, offsets in sorted(p.items())) for p in pages]


def entries(groups: bytes) -> Iterator[tuple[int, int]]:
    """(class, offset from 8 bytes before the page on) of each value in a page's `groups`."""
    at = 0
    while at < len(groups):
        number, count = struct.unpack_from("<BH", groups, at)
        if number & _ROW:
            offset, distance = struct.unpack_from("<HB", groups, at + 3)
            yield from ((number ^ _ROW, offset + n * distance) for n in range(count))
            at += 6
            continue
        at += 3
        offset = 0
        for _ in range(count):
            while groups[at] == 255:
                offset += 255
                at += 1
            offset += groups[at]
            at += 1
            yield number, offset


def _group(number: int, offsets: list[int]) -> bytes:
    rows, rest = _rows(offsets)
    out = bytearray()
    for first, count, distance in rows:
        out += struct.pack("<BHHB", number | _ROW, count, first, distance)
    if rest:
        out += struct.pack("<BH", number, len(rest))
        at = 0
        for offset in rest:
            more, last = divmod(offset - at, 255)
            out += b"\xff" * more + bytes([last])
            at = offset
    return bytes(out)


def _rows(offsets: list[int]) -> tuple[list[tuple[int, int, int]], list[int]]:
    """(first, count, distance) of each longer row of equal distances, and the rest."""
    rows, rest = [], []
    i = 0
    while i < len(offsets):
        end = i + 1
        if end < len(offsets):
            distance = offsets[end] - offsets[i]
            while end + 1 < len(offsets) and offsets[end + 1] - offsets[end] == distance:
                end += 1
            if end + 1 - i >= _ROW_MIN and distance < 256:
                rows.append((offsets[i], end + 1 - i, distance))
                i = end + 1
                continue
        rest.append(offsets[i])
        i += 1
    return rows, rest
