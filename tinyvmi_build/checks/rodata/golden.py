"""rodata: each page of .rodata up to ro_after_init, as the package's file has it.

Nothing changes these bytes after the decompressor has relocated them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.digest_range import (
    BIAS,
    PAGE,
    DigestRange,
    digest_range,
    relocations_by_page,
)
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.profile.encoding import Blob
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Constants that boot code cuts at their commas, though they are constants: strsep() in
#: set_rdt_options() (arch/x86/kernel/cpu/resctrl/core.c), called on Skylake-X before .rodata is protected.
CUT_STRINGS = (b"!cmt,!mbmtotal,!mbmlocal,!l3cat",)


@dataclass(frozen=True)
class CutString:
    """A constant that the kernel itself may cut: its offset from the range's begin, and its text."""

    offset: int
    text: str


@dataclass(frozen=True)
class RodataGolden(GoldenValues):
    """The range's first symbol, link address and bytes; `content` is what the file has there."""

    CHECK: ClassVar[str] = "rodata"

    symbol: str
    va: int
    size: int
    cuts: tuple[CutString, ...]
    content: Blob
    pages: DigestRange

    @property
    def tracked_end(self) -> int:
        """Link address of the end of the last page."""
        return self.va + (self.size + PAGE - 1) // PAGE * PAGE


def compute(image: KernelImage) -> RodataGolden:
    """Of a kernel whose relocations are known."""
    start, end = require(image, "__start_rodata"), require(image, "__start_ro_after_init")
    if start % PAGE or not start < end:
        raise UnsupportedError("the bounds of .rodata are not what this generator expects")
    data = image.read(start, end - start)
    npages = (len(data) + PAGE - 1) // PAGE
    relocs = relocations_by_page(image.relocs_in(start - BIAS, end), start, npages, lambda va, size: True)
    return RodataGolden(
        symbol="__start_rodata",
        va=start,
        size=end - start,
        cuts=_cuts(data),
        content=Blob(data),
        pages=digest_range(data, relocs),
    )


def _cuts(data: bytes) -> tuple[CutString, ...]:
    """Only a whole string is one: the tail of a longer one (which linkers share) is cut all the same."""
    found = []
    for text in CUT_STRINGS:
        at = data.find(text + b"\0")
        while at >= 0:
            found.append(CutString(at, text.decode()))
            at = data.find(text + b"\0", at + 1)
    return tuple(found)
