"""The bytes that a kernel's code and data must have once it runs at its KASLR offset."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Protocol

from tinyvmi_build.profile.encoding import Blob

_BLOBS = (("relocs64", 8, 1), ("relocs32", 4, 1), ("inverse32", 4, -1))  # name, bytes, sign of the delta


class Profile(Protocol):
    """The part of a KernelProfile that is needed here."""

    def blob(self, name: str, /) -> bytes: ...


def relocated(
    kernel: Profile, start_va: int, content: Blob, link_va: int, size: int, delta: int
) -> bytes | None:
    """`size` bytes at `link_va` as they stand in memory, of the file's `content` that begins at `start_va`.

    None where it does not reach.
    """
    end_va = start_va + len(content.data)
    if not start_va <= link_va <= link_va + size <= end_va:
        return None
    # Seven bytes more on either side, for a relocation that only reaches into the range.
    start, end = max(link_va - 7, start_va), min(link_va + size + 7, end_va)
    window = bytearray(content.data[start - start_va : end - start_va])
    for name, width, sign in _BLOBS:
        sites = array("Q", kernel.blob(name))
        for site in sites[bisect_left(sites, start) : bisect_left(sites, end - width + 1)]:
            at = site - start
            value = int.from_bytes(window[at : at + width], "little") + sign * delta
            window[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(window[link_va - start : link_va - start + size])
