"""ro-after-init: what the kernel writes while it boots, and maps read-only before it runs programs.

Every byte is one of these; where a byte falls follows from the package alone:

- *exact*: the file's, relocated; nothing in the code writes it.  The jump table, too: it is sorted at boot,
  and a sorted table is known.
- *static call sites*: sorted, equal ones in an order of the sort's own; compared as a set.
- *pointers* to functions: `function-pointers` checks them.
- *constants*: what is written is a number in the instructions: one of those, or the file's.
- *vDSO*: its own alternatives, one of their encodings.
- *per-CPU offsets*: the file's value where there is no CPU, else the beginning of a page.
- *boot values*: what depends on the machine.  Only where they lead is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.digest_range import DigestRange
from tinyvmi_build.profile.encoding import Blob, U16s, U32s
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Kinds of blanks (enum tv_boot_kind).
VALUE, CONSTANT, ENCODING = range(3)
#: How a byte is compared; the blanks' kinds are among them.
EXACT, SITES, POINTER, ARRAY = 3, 4, 5, 6
KINDS = {
    EXACT: "exact",
    SITES: "static-call-sites",
    POINTER: "pointers",
    ARRAY: "per-cpu-offsets",
    CONSTANT: "constants",
    ENCODING: "vdso",
    VALUE: "boot-values",
}


@dataclass(frozen=True)
class BootNumber:
    """A number that may stand there; `moves`: it is a link address."""

    value: int
    moves: bool


@dataclass(frozen=True)
class BootConstant:
    """Bytes that hold one of some numbers."""

    offset: int
    size: int
    values: tuple[BootNumber, ...]


@dataclass(frozen=True)
class BootEncoding:
    """Bytes that hold one of some encodings."""

    offset: int
    size: int
    codes: tuple[bytes, ...]


@dataclass(frozen=True)
class PerCpuArray:
    """__per_cpu_offset: where it lies (no bytes: not in the range), and the file's value in each element."""

    offset: int
    size: int
    value: BootNumber


@dataclass(frozen=True)
class RoAfterInitGolden(GoldenValues):
    """Offsets are from the first page, `va`; the range begins at `start`, `size` counts from `va`.

    counts     how many bytes are compared in which way (KINDS)
    sites_at   the offset of the sites of static calls, 0 if there are none
    content    the expected bytes before relocation
    kinds      how each byte is compared, a byte each
    pages      digests with zeros where a blank is
    run_index  of each page its first run; one more at the end
    runs       pairs: offset in the page, kind << 13 | bytes
    sites      pairs: site and key of each static call from _text, by key and site
    """

    CHECK: ClassVar[str] = "ro-after-init"

    symbol: str
    start: int
    va: int
    size: int
    counts: dict[str, int]
    sites_at: int
    array: PerCpuArray
    nr_cpu_ids: int
    constants: tuple[BootConstant, ...]
    encodings: tuple[BootEncoding, ...]
    content: Blob
    kinds: Blob
    pages: DigestRange
    run_index: U32s
    runs: U16s
    sites: U32s


def compute(image: KernelImage) -> RoAfterInitGolden:
    """Of a kernel with relocations."""
    from tinyvmi_build.checks.ro_after_init.section import golden_values

    return golden_values(image)
