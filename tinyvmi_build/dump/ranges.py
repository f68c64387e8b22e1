"""Where guest frames lie in a file: what every format comes down to, and what the checker is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import UsageError

PAGE = 4096
MAX_GFN = 1 << 34  # 64 TiB, as IMAGE_MAX_GFN of minios_app/platform/host/guest_mem.h
MAX_RANGES = 1 << 20  # more than any real dump scatters its memory into


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


def merged(path: Path, size: int, ranges: Iterable[Range]) -> list[Range]:
    """`ranges` sorted, neighbours joined; UsageError unless each frame lies in the file, and at one place."""
    result: list[Range] = []
    for r in sorted(ranges, key=lambda r: r.gfn):
        if r.gfn + r.count > MAX_GFN:
            raise UsageError(f"{path}: it claims memory at {r.gfn * PAGE:#x}, beyond 64 TiB", hint=DAMAGED)
        missing = r.offset + r.count * PAGE - size
        if missing > 0:
            raise UsageError(
                f"{path}: the dump is truncated: {missing:,} bytes are missing", hint="save the memory again"
            )
        last = result[-1] if result else None
        if last is None or r.gfn > last.gfn + last.count:
            result.append(r)
        elif r.offset - last.offset == (r.gfn - last.gfn) * PAGE:
            result[-1] = Range(last.gfn, max(last.count, r.gfn + r.count - last.gfn), last.offset)
        elif r.gfn == last.gfn + last.count:
            result.append(r)
        else:
            raise UsageError(
                f"{path}: the dump holds the frame {r.gfn:#x} twice, at different places", hint=DAMAGED
            )
        if len(result) > MAX_RANGES:
            raise UsageError(f"{path}: its memory lies in more than {MAX_RANGES:,} pieces", hint=DAMAGED)
    if not result:
        raise UsageError(f"{path}: the dump holds no page of memory", hint=DAMAGED)
    return result


def map_text(ranges: Iterable[Range]) -> str:
    """What `tinyvmi-check --map` reads."""
    return "".join(f"{r.gfn} {r.count} {r.offset}\n" for r in ranges)


DAMAGED = "the dump is damaged, or no dump of an x86-64 guest"
