"""modules: the golden values of one module, as a profile has them.

Standard library alone: a dom0 reads them to name functions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.text.golden import CodeTables, NumberedShape, Template, TextGolden
from tinyvmi_build.profile.encoding import Blob, U16s, U32s, pack, unpack


class Profile(Protocol):
    """The part of a KernelProfile that is needed here."""

    def blob(self, name: str, /) -> bytes: ...


@dataclass(frozen=True)
class PageTables:
    """Pages of one area: digests, sums of lines, and groups of values by page (see `pages`).

    Pages that two orders of the area share stand once.
    """

    sha256: Blob
    blake3: Blob
    sums: Blob
    reloc_index: U32s
    relocs: Blob


@dataclass(frozen=True)
class RegionRow:
    """Memory that values count from: begin in the generator's address space, bytes, area, whose it is."""

    start: int
    size: int
    area: int
    module: int


@dataclass(frozen=True)
class Witness:
    """Where to read at which address freed init memory was."""

    region: int
    area: int
    field: int
    offset: int
    target: int


@dataclass(frozen=True)
class ModuleGolden:
    """One module; sizes and starts by the number of the area.

    `order` numbers the pages of read-only data in each of the two orders of its sorted tables.
    `content` (the code), `pages` (of read-only data) and `names` (of the functions, in the order of
    `code.functions`) are for people alone: the monitor has digests.
    """

    name: str
    build_id: bytes
    build_id_at: int
    needs: tuple[str, ...]
    sizes: tuple[int, ...]
    starts: tuple[int, ...]
    regions: tuple[RegionRow, ...]
    classes: tuple[tuple[int, int], ...]
    witnesses: tuple[Witness, ...]
    shapes: tuple[NumberedShape, ...]
    templates: tuple[Template, ...]
    counts: dict[str, int]
    code: CodeTables
    text: PageTables
    rodata: PageTables
    order: U16s
    content: Blob
    pages: Blob
    names: Blob

    def packed(self) -> bytes:
        """As a profile stores it."""
        return pack(self)

    def as_text(self, text: TextGolden, va: int) -> TextGolden:
        """The module's code at `va` in the form of the kernel's, whose values are `text`.

        Targets of jump labels, and keys, stay in the generator's address space.
        """
        return dataclasses.replace(
            text,
            va=va,
            size=self.sizes[0],
            shapes=self.shapes,
            templates=self.templates,
            code=self.code,
        )

    def function_at(self, offset: int) -> tuple[str, int] | None:
        """The function at or below `offset` of the module's code, and how far into it that is."""
        names = self.names.data.decode("ascii").split("\n")
        index, offsets = self.code.function_index.values, self.code.functions.values
        best: tuple[str, int] | None = None
        for page in range(len(index) - 1):
            for number in range(index[page], index[page + 1]):
                at = page * PAGE + offsets[number] % PAGE
                if at > offset:
                    return best
                best = names[number], offset - at
        return best


def load_module(kernel: Profile, name: str) -> ModuleGolden:
    """The module `name` of a profile."""
    return unpack(ModuleGolden, kernel.blob(f"modules/{name}"))
