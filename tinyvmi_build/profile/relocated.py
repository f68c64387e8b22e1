"""The bytes that a kernel's read-only data must have once it runs at its KASLR offset."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Any, Protocol


class Golden(Protocol):
    """The part of a KernelProfile that is needed here."""

    @property
    def golden(self) -> dict[str, Any]: ...

    def blob(self, name: str, /) -> bytes: ...


_BLOBS = (("relocs64", 8, 1), ("relocs32", 4, 1), ("inverse32", 4, -1))  # name, bytes, sign of the delta


def rodata_at(kernel: Golden, link_va: int, size: int, delta: int) -> bytes | None:
    """`size` bytes at `link_va` as they stand in memory; None where the `rodata` check does not reach."""
    golden = kernel.golden["rodata"]
    if "unknown" in golden or not golden["va"] <= link_va <= link_va + size <= golden["va"] + golden["size"]:
        return None
    data = kernel.blob("rodata")
    # Seven bytes more on either side, for a relocation that only reaches into the range.
    start = max(link_va - 7, golden["va"])
    end = min(link_va + size + 7, golden["va"] + golden["size"])
    window = bytearray(data[start - golden["va"] : end - golden["va"]])
    for blob, width, sign in _BLOBS:
        sites = array("Q", kernel.blob(blob))
        for site in sites[bisect_left(sites, start) : bisect_left(sites, end - width + 1)]:
            at = site - start
            value = int.from_bytes(window[at : at + width], "little") + sign * delta
            window[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(window[link_va - start : link_va - start + size])
