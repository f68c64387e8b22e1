"""What call-depth accounting changes (callthunks.c): calls, and the padding in front of what they call."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.digest_range import PAGE, index_of
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.profile.encoding import U8s, U32s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinyvmi_build.checks.text.code import Code
    from tinyvmi_build.checks.text.golden import CodeTables

#: Calls are counted from this many bytes before a page.
CALL_BIAS = 16
SIZE = 5
_CALL = 0xE8
#: In front of a function (enum tv_text_pad): nothing, padding or the accounting, the accounting.
NO_PAD, PAD_MAYBE, PAD_COUNTED = range(3)


class Counted:
    """Of `code`, whose bytes are `data`: `calls` that lead to the accounting, `pads` by function."""

    def __init__(self, code: Code, data: bytes):
        self.code = code
        self.facts = code.r.facts
        self._starts = [region.va for region in code.r.regions]
        self.calls: list[int] = []
        self.pads: dict[int, int] = {}
        if code.r.series.call_thunks:
            self._find(data)

    def _find(self, data: bytes) -> None:
        code, size = self.code, self.facts.call_thunk[1]
        for va in code.functions:
            if va >= code.text + size and self.facts.accounts(va) and self._free(va - size, va):
                self.pads[va] = PAD_MAYBE
        for va in sorted(code.r.sites.calls):
            at = va - code.text
            if not 0 <= at <= len(data) - SIZE or data[at] != _CALL:
                continue
            target = va + SIZE + int.from_bytes(data[at + 1 : at + SIZE], "little", signed=True)
            if not self.facts.accounts(target):
                continue
            own = code.text <= target < code.etext
            if own and target not in self.pads:
                raise UnsupportedError(f"a call at {va:#x} leads to {target:#x}, which is no function")
            if self._free(va, va + SIZE):
                self.calls.append(va)
                if own:
                    self.pads[target] = PAD_COUNTED

    def _free(self, first: int, end: int) -> bool:
        """No other site lies at first <= address < end."""
        i = bisect_left(self._starts, end) - 1
        return i < 0 or self._starts[i] + self.code.r.regions[i].size <= first

    def tables(self) -> tuple[U32s, U8s]:
        """Of each page where its part of the gaps begins, one more for the end; the calls' distances.

        The first of a page counts from 16 bytes before the page; 255 stands for 255 more to come.
        A call over a border stands in both pages.
        """
        code = self.code
        pages: list[list[int]] = [[] for _ in range(code.npages)]
        for va in self.calls:
            for page in {(va - code.text) // PAGE, (va + SIZE - 1 - code.text) // PAGE}:
                pages[page].append(va - code.text - page * PAGE + CALL_BIAS)
        gaps = []
        for offsets in pages:
            own, at = bytearray(), 0
            for offset in offsets:
                more, last = divmod(offset - at, 255)
                own += b"\xff" * more + bytes([last])
                at = offset
            gaps.append(own)
        return index_of(gaps), U8s(b"".join(gaps))


def calls_of(code: CodeTables, page: int) -> Iterator[int]:
    """Offsets in `page` of the calls that `Counted.tables` has written; the first may lie before it."""
    index, at = code.call_index.values, -CALL_BIAS
    for gap in code.call_gaps.data[index[page] : index[page + 1]]:
        at += gap
        if gap != 255:
            yield at


def padded(code: CodeTables, page: int) -> Iterator[int]:
    """Offsets in `page` of entries that the accounting may stand in front of; the last may lie behind it."""
    index, functions = code.function_index.values, code.functions.values
    for n in (page, page + 1):
        for entry in functions[index[n] : index[n + 1]] if n + 1 < len(index) else ():
            if entry >> 12 and (n == page or entry % PAGE < CALL_BIAS):
                yield (n - page) * PAGE + entry % PAGE
