"""function-pointers: where control goes when the kernel follows a static pointer of its own.

Slots are the 64-bit relocations in the kernel's writable and boot-written data
whose target is a function, or a constant table of functions (an operations
structure).  Each must hold its compiled value, or one that the kernel's own
code, as the package has it, can have put there: see `code_stores`, `pointer_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.profile.encoding import U16s, U32s
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


@dataclass(frozen=True)
class PointerRule:
    """What may stand in a slot besides its compiled value.

    `slot` is its number in address order, `set` the number of a set of values, or NO_SET;
    flags: 1 nothing may stand there, 2 any function of the kernel, 4 code outside of it.
    """

    slot: int
    set: int
    flags: int


NO_SET = -1


@dataclass(frozen=True)
class FunctionPointersGolden(GoldenValues):
    """Slots in address order; offsets are from _text (`va`).

    functions, tables  how many of the slots lead to a function, and to a table of functions
    rules              of the slots that may change
    sets               sorted offsets, modulo 2^32
    pages              the pages that hold slots, by number
    index              of each of these its first slot; one more at the end
    slots              offset in the page
    targets            what was compiled in
    """

    CHECK: ClassVar[str] = "function-pointers"

    va: int
    functions: int
    tables: int
    rules: tuple[PointerRule, ...]
    sets: tuple[tuple[int, ...], ...]
    pages: U32s
    index: U32s
    slots: U16s
    targets: U32s

    def addresses(self) -> list[int]:
        """The link address of each slot."""
        index, slots = self.index.values, self.slots.values
        return [
            self.va + page * PAGE + slots[slot]
            for number, page in enumerate(self.pages)
            for slot in range(index[number], index[number + 1])
        ]


def compute(image: KernelImage) -> FunctionPointersGolden:
    """Of a kernel with relocations: they say which words are pointers."""
    from tinyvmi_build.checks.function_pointers.pointers import golden_values

    return golden_values(image)
