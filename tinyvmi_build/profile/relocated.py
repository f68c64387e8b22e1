"""The bytes that a kernel's code and read-only data must have once it runs at its KASLR offset."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Any, Protocol


class Golden(Protocol):
    """The part of a KernelProfile that is needed here."""

    @property
    def golden(self) -> dict[str, Any]: ...

    def blob(self, name: str, /) -> bytes: ...


_EXACT = 3  # golden.ro_after_init.EXACT: this file is read without the generator
_BLOBS = (("relocs64", 8, 1), ("relocs32", 4, 1), ("inverse32", 4, -1))  # name, bytes, sign of the delta


def rodata_at(kernel: Golden, link_va: int, size: int, delta: int) -> bytes | None:
    """`size` bytes at `link_va` as they stand in memory; None where the `rodata` check does not reach."""
    return _bytes_at(kernel, "rodata", link_va, size, delta)


def text_at(kernel: Golden, link_va: int, size: int, delta: int) -> bytes | None:
    """The same of .text before the kernel patches it; at patched places memory differs legitimately."""
    return _bytes_at(kernel, "text", link_va, size, delta)


def ro_after_init_at(kernel: Golden, link_va: int, actual: bytes, delta: int) -> bytes | None:
    """What should stand at `link_va` for `actual`, where ro_after_init has exact bytes; None outside."""
    wanted = _bytes_at(kernel, "ro-after-init", link_va, len(actual), delta)
    if wanted is None:
        return None
    at = link_va - kernel.golden["ro-after-init"]["va"]
    kinds = kernel.blob("ro-after-init.kinds")[at : at + len(actual)]
    return bytes(w if kind == _EXACT else a for w, a, kind in zip(wanted, actual, kinds, strict=True))


def _bytes_at(kernel: Golden, check: str, link_va: int, size: int, delta: int) -> bytes | None:
    golden = kernel.golden.get(check, {"unknown": "a profile of before this check"})
    if "unknown" in golden or not golden["va"] <= link_va <= link_va + size <= golden["va"] + golden["size"]:
        return None
    data = kernel.blob(check)
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
