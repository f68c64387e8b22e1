"""LiME's format (github.com/504ensicsLabs/LiME, doc/README.md): ranges, each behind a header of its own.

u32 magic 0x4C694D45 ("EMiL") · u32 version 1 · u64 first address · u64 last address · 8 bytes of zeros
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tinyvmi_build.dump.ranges import DAMAGED, MAX_RANGES, Image, Range, merged, whole_pages
from tinyvmi_build.errors import UsageError

MAGIC = b"EMiL"
_HEADER = struct.Struct("<4sIQQ8x")


def read(path: Path, data: mmap.mmap) -> Image:
    """The image in a LiME file; UsageError for a damaged one."""
    ranges: list[Range | None] = []
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise UsageError(
                f"{path}: the dump is truncated within a header at byte {at}", hint="save the memory again"
            )
        magic, version, first, last = _HEADER.unpack_from(data, at)
        if magic != MAGIC or version != 1 or last < first or len(ranges) >= MAX_RANGES:
            raise UsageError(f"{path}: no sound LiME header at byte {at}", hint=DAMAGED)
        at += _HEADER.size
        if last + 1 - first > len(data) - at:
            missing = last + 1 - first - (len(data) - at)
            raise UsageError(
                f"{path}: the dump is truncated: {missing:,} bytes are missing", hint="save the memory again"
            )
        ranges.append(whole_pages(first, last + 1 - first, at))
        at += last + 1 - first
    return Image(path, len(data), "LiME", merged(path, len(data), [r for r in ranges if r]))
