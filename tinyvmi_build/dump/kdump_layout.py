"""Whether a kdump-compressed dump is whole: its headers name every byte that a reader needs.

libkdumpfile maps such a file.  Behind the end of one that was cut short it sees zeros, which look like
memory that was overwritten, or it dies of SIGBUS.  So this is found out before it is called.

Layout, in blocks (makedumpfile's IMPLEMENTATION, "The kdump-compressed format"; diskdump_mod.h):

    0               struct disk_dump_header
    1               struct kdump_sub_header, `sub_hdr_size` blocks
    then            two bitmaps, `bitmap_blocks` in all: which frames there are, which were dumped
    then            a descriptor of 24 bytes for each dumped frame: offset, size, flags, page flags
    anywhere        the pages, and the notes that the sub header names
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from tinyvmi_build.dump.ranges import DAMAGED, MAX_GFN, PAGE
from tinyvmi_build.errors import UsageError

KDUMP, DISKDUMP = b"KDUMP   ", b"DISKDUMP"
_VERSION_AT = 8
_NUMBERS = struct.Struct("<iiII")  # block_size, sub_hdr_size, bitmap_blocks, max_mapnr
_NUMBERS_AT = 428
_SUB = struct.Struct("<QiiQQQQQQQQ")  # phys_base, dump_level, split, start, end, then three (offset, size)
_MAX_MAPNR_64_AT, _MAX_MAPNR_64_VERSION = 96, 6
_NOTES_VERSIONS = (3, 4, 5)  # of vmcoreinfo, notes, eraseinfo
_DESCRIPTOR = 24
_BLOCK_MAX = 1 << 20
_CHUNK = 1 << 16  # descriptors


def require_whole(path: Path, data: mmap.mmap) -> None:
    """Raise UsageError if the dump in `data` is cut short, one of several parts, or makes no sense."""
    size = len(data)
    if size < _NUMBERS_AT + _NUMBERS.size:
        raise _truncated(path, _NUMBERS_AT + _NUMBERS.size - size)
    version = int.from_bytes(data[_VERSION_AT : _VERSION_AT + 4], "little")
    block, sub_blocks, bitmap_blocks, frames = _NUMBERS.unpack_from(data, _NUMBERS_AT)
    if not PAGE <= block <= _BLOCK_MAX or block & (block - 1) or not 0 <= sub_blocks < 1 << 16:
        raise UsageError(f"{path}: the kdump's header is damaged: blocks of {block} bytes", hint=DAMAGED)
    bitmaps_at = (1 + sub_blocks) * block
    descriptors_at = bitmaps_at + bitmap_blocks * block
    _require(path, size, descriptors_at)
    if data[:8] == KDUMP:
        frames = _check_sub_header(path, data, version, block) or frames
    if frames > MAX_GFN:
        raise UsageError(f"{path}: it claims memory beyond 64 TiB", hint=DAMAGED)
    # As libkdumpfile decides: two bitmaps if half of the blocks suffice for all frames.
    half = bitmap_blocks // 2 * block
    start = bitmaps_at + (half if frames <= half * 8 else 0)
    if frames > (descriptors_at - start) * 8:
        raise UsageError(f"{path}: it claims {frames:,} frames, more than its bitmap covers", hint=DAMAGED)
    count = int.from_bytes(data[start:descriptors_at], "little").bit_count()
    _require(path, size, descriptors_at + count * _DESCRIPTOR)
    _check_pages(path, data, descriptors_at, count)


def _check_sub_header(path: Path, data: mmap.mmap, version: int, block: int) -> int:
    """How many frames the sub header says that the machine has; 0 if it says nothing."""
    _, _, split, _, _, *notes = _SUB.unpack_from(data, block)
    if split and version >= 2:
        raise UsageError(
            f"{path}: one part of a dump that was split", hint="join its parts: makedumpfile --reassemble"
        )
    for needed, offset, length in zip(_NOTES_VERSIONS, notes[::2], notes[1::2], strict=True):
        if version >= needed and length:
            _require(path, len(data), offset + length)
    if version < _MAX_MAPNR_64_VERSION:
        return 0
    return int.from_bytes(data[block + _MAX_MAPNR_64_AT : block + _MAX_MAPNR_64_AT + 8], "little")


def _check_pages(path: Path, data: mmap.mmap, at: int, count: int) -> None:
    """Every page that a descriptor names lies in the file."""
    size, end = len(data), 0
    for first in range(0, count, _CHUNK):
        chunk = data[at + first * _DESCRIPTOR : at + min(first + _CHUNK, count) * _DESCRIPTOR]
        with memoryview(chunk).cast("Q") as words:
            last = max(o + (s & 0xFFFFFFFF) for o, s in zip(words[::3], words[1::3], strict=True))
        end = max(end, last)
    if end > size:
        raise _truncated(path, end - size)


def _require(path: Path, size: int, end: int) -> None:
    if end > size:
        raise _truncated(path, end - size)


def _truncated(path: Path, missing: int) -> UsageError:
    return UsageError(
        f"{path}: the dump is truncated: at least {missing:,} bytes are missing", hint="save the memory again"
    )
