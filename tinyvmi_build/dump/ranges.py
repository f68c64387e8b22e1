"""Where guest frames lie in a file: what every format comes down to, and what the checker is given."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import UsageError

PAGE = 4096
MAX_GFN = 1 << 34  # 64 TiB, as IMAGE_MAX_GFN of minios_app/platform/host/guest_mem.h
MAX_RANGES = 1 << 20  # more than any real dump scatters its memory into
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Range:
    """`count` guest frames from `gfn` on, at byte `offset` of the file."""

    gfn: int
    count: int
    offset: int


@dataclass(frozen=True)
class Image:
    """A memory image: its format in words, its frames in ascending order."""

    path: Path
    size: int  # of the file, bytes
    format: str
    ranges: list[Range]
    registers: str = ""  # of the processors, if they were saved: lines for `tinyvmi-check --registers`

    @property
    def frames(self) -> int:
        """How many frames the image holds."""
        return sum(r.count for r in self.ranges)


def whole_pages(address: int, size: int, offset: int) -> Range | None:
    """The whole frames of `size` bytes at physical `address`, found at byte `offset`; None without any."""
    first = -(-address // PAGE)
    count = (address + size) // PAGE - first
    return Range(first, count, offset + first * PAGE - address) if count > 0 else None


def merged(path: Path, size: int, ranges: Iterable[Range], content: mmap.mmap | None = None) -> list[Range]:
    """`ranges` sorted, neighbours joined; UsageError unless each frame lies in the file, and at one place.

    With `content`, the file's, a frame may lie at several places if they hold the same bytes.
    """
    result: list[Range] = []
    budget = size  # bytes that may be compared: a hostile file could name the same frames for ever
    for r in sorted(ranges, key=lambda r: r.gfn):
        if r.gfn + r.count > MAX_GFN:
            raise UsageError(f"{path}: it claims memory at {r.gfn * PAGE:#x}, beyond 64 TiB", hint=DAMAGED)
        missing = r.offset + r.count * PAGE - size
        if missing > 0:
            raise UsageError(
                f"{path}: the dump is truncated: {missing:,} bytes are missing", hint="save the memory again"
            )
        for known in result[bisect_right(result, r.gfn, key=lambda k: k.gfn + k.count) :]:
            budget -= _compare(path, known, r, content, budget)
        last = result[-1] if result else None
        end = last.gfn + last.count if last else 0
        if last is None or r.gfn > end:
            result.append(r)
        elif r.offset - last.offset == (r.gfn - last.gfn) * PAGE:
            result[-1] = Range(last.gfn, max(last.count, r.gfn + r.count - last.gfn), last.offset)
        elif r.gfn + r.count > end:
            result.append(Range(end, r.gfn + r.count - end, r.offset + (end - r.gfn) * PAGE))
        if len(result) > MAX_RANGES:
            raise UsageError(f"{path}: its memory lies in more than {MAX_RANGES:,} pieces", hint=DAMAGED)
    if not result:
        raise UsageError(f"{path}: the dump holds no page of memory", hint=DAMAGED)
    return result


def _compare(path: Path, a: Range, b: Range, content: mmap.mmap | None, budget: int) -> int:
    """How many bytes were compared where `a` and `b` overlap; UsageError if these bytes differ."""
    first, last = max(a.gfn, b.gfn), min(a.gfn + a.count, b.gfn + b.count)
    here, there = a.offset + (first - a.gfn) * PAGE, b.offset + (first - b.gfn) * PAGE
    if here == there or first >= last:
        return 0
    if content is None:
        raise UsageError(
            f"{path}: the dump holds the frame {first:#x} twice, at different places", hint=DAMAGED
        )
    length = (last - first) * PAGE
    if length > budget:
        raise UsageError(f"{path}: the dump holds the frame {first:#x} again and again", hint=DAMAGED)
    for at in range(0, length, _CHUNK):
        step = min(_CHUNK, length - at)
        one, other = content[here + at : here + at + step], content[there + at : there + at + step]
        if one != other:
            page = next(i for i in range(0, step, PAGE) if one[i : i + PAGE] != other[i : i + PAGE])
            raise UsageError(
                f"{path}: the dump holds the frame {first + (at + page) // PAGE:#x} twice, and they differ",
                hint="was the memory saved while the guest ran? pause it, and save the memory again",
            )
    return length


def map_text(ranges: Iterable[Range]) -> str:
    """What `tinyvmi-check --map` reads."""
    return "".join(f"{r.gfn} {r.count} {r.offset}\n" for r in ranges)


DAMAGED = "the dump is damaged, or no dump of an x86-64 guest"
