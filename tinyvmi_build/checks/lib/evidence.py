"""What a check can say of its findings, from the profile: names, patch sites, the bytes that should be there.

A monitor knows code and data by digests: its record of a changed line has the line as it is.  What it must be
is read back from the profile: the file's bytes at the running kernel's address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tinyvmi_build.checks.lib.insn import decode
from tinyvmi_build.profile.golden import GoldenValues, Unsupported

MASK = (1 << 64) - 1
_FURTHEST = 1 << 16  # bytes of a function that are decoded to find an instruction's begin
G = TypeVar("G", bound=GoldenValues)

Code = Callable[[int, int], bytes | None]  # address, size → bytes


class Profile(Protocol):
    """The part of a KernelProfile that is needed here."""

    def values(self, kind: type[G], /) -> G | Unsupported: ...

    def blob(self, name: str, /) -> bytes: ...


@dataclass(frozen=True)
class Finding:
    """A finding or a notice, as its record has it; addresses are running ones."""

    check: str
    kind: str
    symbol: str
    offset: int
    address: int
    expected: bytes
    actual: bytes
    target: int | None


@dataclass(frozen=True)
class Changed:
    """What differs: where, what should be there and what is; patch sites beside it.

    `cut`: only a part of an instruction, the rest of which is in the line beside and not known.
    """

    va: int
    expected: bytes
    actual: bytes
    sites: tuple[str, ...] = ()
    cut: bool = False


class Evidence:
    """About the findings of a check in a kernel that runs `delta` above its link address.

    This one knows nothing; each check says what it can.
    """

    def __init__(self, kernel: Profile, delta: int):
        self.kernel = kernel
        self.delta = delta

    def link(self, address: int) -> int:
        """The link address of a running one."""
        return address - self.delta & MASK

    def name(self, finding: Finding, address: int) -> str:
        """`name+0xOFFSET` of what the kernel's symbols do not name; "" if this check does not, either."""
        return ""

    def site(self, finding: Finding, address: int) -> str:
        """The kind of patch site there, and its size; "" if there is none."""
        return ""

    def wanted_data(self, finding: Finding) -> bytes | None:
        """What a changed line of data must be; None if that is not known."""
        return None

    def code_change(self, finding: Finding) -> Changed | None:
        """What differs in a changed line of code, in whole instructions; None if that is not known."""
        return None


class Site(Protocol):
    @property
    def va(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Line:
    """A line of code: its address, what it must be, what it is, and the patch sites that reach into it.

    Patch sites are compared one by one: in `wanted` they are as they are.
    """

    va: int
    wanted: bytes
    actual: bytes
    sites: Sequence[Site]


def without_sites(va: int, wanted: bytes | bytearray, actual: bytes, sites: Sequence[Site]) -> bytearray:
    """`wanted` with the sites as they are in `actual`."""
    line = bytearray(wanted)
    for site in sites:
        first, end = max(site.va - va, 0), min(site.va + site.size - va, len(actual))
        line[first:end] = actual[first:end]
    return line


def in_instructions(line: Line, entry_of: Callable[[int], int], code: Code, beside: Code) -> Changed | None:
    """What differs in a line of code, in whole instructions; None: nothing.

    `entry_of` gives the entry of the last function that begins below an address; `code` gives bytes as the
    file has them, to find instructions; `beside` those that must stand in the lines beside.  Either is None,
    or less than was asked for, where that is not known.
    """
    va, wanted, actual = line.va, line.wanted, line.actual
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
    near = tuple(f"{site.name} at +{site.va - va:#x}" for site in line.sites)
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


def _instructions(code_at: Code, entry: int, first: int, end: int) -> tuple[int, int]:
    """first..end widened to whole instructions, as the file has them from the function's entry on."""
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
