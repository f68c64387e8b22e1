"""The tables of one stretch of code, the kernel's .text or a module's (struct tv_text_code)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.digest_range import LINE, PAGE, index_of
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.golden import CodeTables, NumberedShape, Template
from tinyvmi_build.checks.text.regions import Regions
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.profile.encoding import Blob, U16s, U32s

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.calls import Counted
    from tinyvmi_build.checks.text.shapes import Shape


class Code:
    """Tables of `regions`; `functions` are the entries of functions, sorted."""

    def __init__(self, regions: Regions, functions: list[int]):
        self.r = regions
        self.base = regions.facts.base
        self.text, self.etext = regions.facts.text, regions.facts.etext
        if self.text % PAGE or not self.text < self.etext:
            raise UnsupportedError("the bounds of .text are not what this generator expects")
        self.npages = (self.etext - self.text + PAGE - 1) // PAGE
        self.functions = functions
        self.shape_numbers: dict[Shape, int] = {}
        for region in regions.regions:
            if region.shape is not None:
                self.shape_numbers.setdefault(region.shape, len(self.shape_numbers))

    def off(self, va: int) -> int:
        """From _text, as all offsets."""
        return va - self.base & 0xFFFFFFFF

    def counts(self) -> dict[str, int]:
        """Places by kind."""
        counts: dict[str, int] = {}
        for region in self.r.regions:
            name = region.kind.name.lower().replace("_", "-")
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def shapes(self) -> tuple[tuple[NumberedShape, ...], tuple[Template, ...]]:
        """Shapes, which number their templates, and templates."""
        numbers: dict[Template, int] = {}
        shapes = [
            NumberedShape(
                shape.size,
                tuple(shape.conditions),
                tuple(numbers.setdefault(template, len(numbers)) for template in shape.templates),
            )
            for shape in self.shape_numbers
        ]
        if max(len(shapes), len(numbers)) > 0xFFFF:
            raise UnsupportedError("the kernel has too many different alternatives")
        return tuple(shapes), tuple(numbers)

    def paged(self, entries: list[tuple[int, int]]) -> tuple[U32s, U16s]:
        """(address, u16) in address order → (index by page, numbers)."""
        pages: list[list[int]] = [[] for _ in range(self.npages)]
        for va, number in entries:
            pages[(va - self.text) // PAGE].append(number)
        return index_of(pages), U16s.of(number for _, number in entries)

    def blank(self, data: bytes) -> bytes:
        """`data`, the code's bytes, with zeros at every site."""
        canonical = bytearray(data)
        for region in self.r.regions:
            at = region.va - self.text
            if at + region.size > len(data):
                raise UnsupportedError("a patch site reaches beyond .text")
            canonical[at : at + region.size] = bytes(region.size)
        return bytes(canonical)

    def tables(self, counted: Counted) -> CodeTables:
        """Of all sites; `counted` says what call-depth tracking changes."""
        entries, args = [], list[int]()
        for region in self.r.regions:
            if region.size > LINE:
                raise UnsupportedError(f"the patch site at {region.va:#x} has {region.size} bytes")
            entries.append((region.va, region.kind << 12 | region.va % PAGE))
            args += [self.shape_numbers[region.shape]] if region.shape else list(region.args)
        site_index, sites = self.paged(entries)
        function_index, functions = self.paged(
            [(va, counted.pads.get(va, 0) << 12 | va % PAGE) for va in self.functions]
        )
        call_index, call_gaps = counted.tables()
        return CodeTables(
            site_index=site_index,
            sites=sites,
            args=U16s.of(args),
            jumps=Blob(self._jumps()),
            jump_keys=U32s.of(self.off(va) for va in self.r.jump_keys),
            call_keys=U32s.of(self.off(va) for va in self.r.call_keys),
            function_index=function_index,
            functions=functions,
            call_index=call_index,
            call_gaps=call_gaps,
        )

    def _jumps(self) -> bytes:
        keys = {va: i for i, va in enumerate(self.r.jump_keys)}
        by_code = {jump.code: jump for jump in self.r.sites.jumps}
        out = bytearray()
        for region in self.r.regions:
            if region.kind == Kind.JUMP_LABEL:
                jump = by_code[region.va]
                if not self.text <= jump.target < self.etext:
                    raise UnsupportedError(f"the jump label at {jump.code:#x} leads out of .text")
                out += struct.pack("<IHBB", self.off(jump.target), keys[jump.key], jump.size, jump.branch)
        return bytes(out)
