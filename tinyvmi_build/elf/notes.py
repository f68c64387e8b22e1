"""Notes: (owner, number, bytes), one behind the other in a section or segment (elf(5), "Notes (Nhdr)").

pyelftools names the types 1 to 5 as GNU's whoever owns the note, so that one of Xen's reads as a build-id.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tinyvmi_build.elf.reader import ElfError

GNU_BUILD_ID = 3
_HEADER = struct.Struct("<III")  # size of the owner's name, of the descriptor; number
_MAX_SIZE = 1 << 24


@dataclass(frozen=True)
class Note:
    """One note; `desc_at` is where its descriptor begins in the bytes that were parsed."""

    owner: str
    type: int
    desc: bytes
    desc_at: int = field(default=0, compare=False)


def parse_notes(data: bytes) -> Iterator[Note]:
    """The notes in the bytes of one section or segment, padded to 4 bytes; ElfError if one is cut short."""
    if len(data) > _MAX_SIZE:
        raise ElfError("its notes have an impossible size")
    at = 0
    while at + _HEADER.size <= len(data):
        owner_size, desc_size, kind = _HEADER.unpack_from(data, at)
        owner_at = at + _HEADER.size
        desc_at = owner_at + _padded(owner_size)
        if desc_at + desc_size > len(data):
            raise ElfError("a note is cut short")
        owner = data[owner_at : owner_at + owner_size].rstrip(b"\0").decode("latin-1")
        yield Note(owner, kind, data[desc_at : desc_at + desc_size], desc_at)
        at = desc_at + _padded(desc_size)


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4
