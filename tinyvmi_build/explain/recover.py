"""The bytes that a changed line of code or data must have: the monitor knows it by its digest alone.

Read back from the profile: the file's bytes at the running kernel's address.  In code, the places that
the kernel patches are judged one by one and never make such a finding: they are shown as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tinyvmi_build.profile.relocated import ro_after_init_at, rodata_at, text_at

_PAGE = 4096
_FURTHEST = 1 << 16  # bytes of a function that are decoded to find an instruction's begin


Code = Callable[[int, int], bytes | None]  # address, size → bytes


class Golden(Protocol):
    """The part of a kernel profile that is needed here."""

    @property
    def golden(self) -> dict[str, Any]: ...

    def blob(self, name: str, /) -> bytes: ...


class Place(Protocol):
    @property
    def va(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Changed:
    """What differs: where, what should be there and what is; patched places beside it.

    `cut`: only a part of an instruction, the rest of which is in the line beside and not known.
    """

    va: int
    expected: bytes
    actual: bytes
    places: tuple[str, ...] = ()
    cut: bool = False


def wanted_data(kernel: Golden, va: int, actual: bytes, delta: int) -> bytes | None:
    """What should stand at `va` for `actual`; None where the profile does not reach."""
    wanted = rodata_at(kernel, va, len(actual), delta)
    return ro_after_init_at(kernel, va, actual, delta) if wanted is None else wanted


def code_change(
    kernel: Golden,
    places: Sequence[Place],
    entry_of: Callable[[int], int],
    va: int,
    actual: bytes,
    delta: int,
) -> Changed | None:
    """What differs in a line of code, in whole instructions.

    `places` are the patched ones that reach into the line; `entry_of` gives the entry of the last function
    that begins below an address.
    """
    wanted = text_at(kernel, va, len(actual), delta)
    if wanted is None:
        return None
    line = bytearray(wanted)
    for place in places:
        first, end = max(place.va - va, 0), min(place.va + place.size - va, len(actual))
        line[first:end] = actual[first:end]
    _counted(kernel, va, line, actual)
    golden = kernel.golden["text"]
    limit = golden["va"] + golden["size"]

    def code(at: int, size: int) -> bytes | None:
        return text_at(kernel, at, min(size, limit - at), delta)

    return in_instructions(va, bytes(line), actual, places, entry_of, code, code)


def in_instructions(
    va: int,
    wanted: bytes,
    actual: bytes,
    places: Sequence[Place],
    entry_of: Callable[[int], int],
    code: Code,
    beside: Code,
) -> Changed | None:
    """What differs between a line of code at `va` and what is `wanted`, in whole instructions; None: nothing.

    `code` gives bytes as the file has them, to find instructions; `beside` those that must stand in the
    lines beside.  Either is None, or less than was asked for, where that is not known.
    """
    if wanted == actual:
        return None
    first, end = _span(wanted, actual)
    start, stop = _instructions(code, entry_of(va + first + 1), va + first, va + end)
    # An instruction may reach into the lines beside, which are as they must be.
    line_end = va + len(wanted)
    before = beside(start, va - start) if start < va else b""
    after = beside(line_end, stop - line_end) if stop > line_end else b""
    cut = before is None or after is None
    if before is None:
        start = va
    inner = slice(max(start - va, 0), min(stop - va, len(wanted)))
    before, after = before or b"", after or b""
    near = tuple(f"{place.name} at +{place.va - va:#x}" for place in places)
    return Changed(start, before + wanted[inner] + after, before + actual[inner] + after, near, cut)


def data_span(va: int, wanted: bytes, actual: bytes) -> Changed | None:
    """What differs between a line of data at `va` and what is `wanted`; None: nothing."""
    if wanted == actual:
        return None
    first, end = _span(wanted, actual)
    return Changed(va + first, wanted[first:end], actual[first:end])


def _span(wanted: bytes, actual: bytes) -> tuple[int, int]:
    changed = [i for i, (a, b) in enumerate(zip(wanted, actual, strict=True)) if a != b]
    return changed[0], changed[-1] + 1


def _counted(kernel: Golden, va: int, line: bytearray, actual: bytes) -> None:
    """Put in what call-depth accounting has changed: calls that lead before the function, padding."""
    golden = kernel.golden["text"]
    size = len(golden.get("call_pad", {}).get("code", "")) // 2
    if not size:
        return
    from tinyvmi_build.checks.text.calls import calls_of, padded

    page = (va - golden["va"]) // _PAGE
    names = ("call_index", "call_gaps", "function_index", "functions")
    tables = {name: kernel.blob(f"text.{name}") for name in names}
    for offset in padded(tables, page):
        at = golden["va"] + page * _PAGE + offset - size - va
        if at >= 0 and at + size <= len(line):
            line[at : at + size] = actual[at : at + size]
    for offset in calls_of(tables, page):
        at = golden["va"] + page * _PAGE + offset - va
        if at >= 0 and at + 5 <= len(line):
            old = int.from_bytes(line[at + 1 : at + 5], "little")
            moved = (old - size & 0xFFFFFFFF).to_bytes(4, "little")
            if actual[at + 1 : at + 5] == moved:
                line[at + 1 : at + 5] = moved


def _instructions(code_at: Code, entry: int, first: int, end: int) -> tuple[int, int]:
    """first..end widened to whole instructions, as the file has them from the function's entry on."""
    from tinyvmi_build.checks.text.insn import decode

    code = code_at(entry, end + 16 - entry) if 0 <= first - entry < _FURTHEST else None
    if code is None:
        return first, end
    at, start = 0, None
    while entry + at < end:
        insn = decode(code, at)
        if insn is None:
            return first, end
        if entry + at + insn.length > first and start is None:
            start = entry + at
        at += insn.length
    return (first if start is None else start), entry + at
