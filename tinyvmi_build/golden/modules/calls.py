"""The calls in a module that call-depth accounting leads elsewhere (callthunks_patch_module_calls)."""

from __future__ import annotations

from bisect import bisect_right

from tinyvmi_build.golden.text.code import Code, u32
from tinyvmi_build.golden.text.tables import CALL_BIAS, PAGE
from tinyvmi_build.golden.unknown import Unknown

_SIZE = 5
_CALL = 0xE8


def tables(code: Code, data: bytes) -> dict[str, bytes]:
    """`data` is the linked text.

    `call_index` (u32, pages + 1) counts bytes of `call_gaps`: of each call its distance from the one
    before, from 16 bytes before the page on; 255 stands for 255 more to come.
    A call over a border stands in both pages.
    """
    pages: list[list[int]] = [[] for _ in range(code.npages)]
    if code.r.series.call_thunks:
        for va in _counted(code, data):
            for page in {(va - code.text) // PAGE, (va + _SIZE - 1 - code.text) // PAGE}:
                pages[page].append(va - code.text - page * PAGE + CALL_BIAS)
    index, gaps = [0], bytearray()
    for offsets in pages:
        at = 0
        for offset in offsets:
            more, last = divmod(offset - at, 255)
            gaps += b"\xff" * more + bytes([last])
            at = offset
        index.append(len(gaps))
    return {"call_index": u32(index), "call_gaps": bytes(gaps)}


def _counted(code: Code, data: bytes) -> list[int]:
    """Addresses of the calls that are led elsewhere and are no part of another place."""
    facts, functions = code.r.facts, set(code.functions)
    starts = [region.va for region in code.r.regions]
    found = []
    for va in sorted(code.r.sites.calls):
        at = va - code.text
        if not 0 <= at <= len(data) - _SIZE or data[at] != _CALL:
            continue
        target = va + _SIZE + int.from_bytes(data[at + 1 : at + _SIZE], "little", signed=True)
        if not facts.accounts(target):
            continue
        if code.text <= target < code.etext and target not in functions:
            raise Unknown(f"a call at {va:#x} leads to {target:#x}, which is no function")
        i = bisect_right(starts, va + _SIZE - 1) - 1
        if i < 0 or starts[i] + code.r.regions[i].size <= va:
            found.append(va)
    return found
