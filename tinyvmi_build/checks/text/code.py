"""The tables of one stretch of code, the kernel's .text or a module's (struct tv_text_code)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.digests import tables
from tinyvmi_build.checks.lib.unknown import Unknown
from tinyvmi_build.checks.rodata.golden import LINE, PAGE
from tinyvmi_build.checks.text.regions import Kind, Regions

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.shapes import Shape, Template


def u32(values: Iterable[int]) -> bytes:
    """As little-endian words, modulo 2^32."""
    words = [value & 0xFFFFFFFF for value in values]
    return struct.pack(f"<{len(words)}I", *words)


def u16(values: Iterable[int]) -> bytes:
    words = list(values)
    return struct.pack(f"<{len(words)}H", *words)


class Code:
    """Tables of `regions`; `functions` are the entries of functions, sorted."""

    def __init__(self, regions: Regions, functions: list[int]):
        self.r = regions
        self.base = regions.facts.base
        self.text, self.etext = regions.facts.text, regions.facts.etext
        if self.text % PAGE or not self.text < self.etext:
            raise Unknown("the bounds of .text are not what this generator expects")
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

    def shapes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Shapes, which number their templates, and templates."""
        numbers: dict[Template, int] = {}
        shapes: list[dict[str, Any]] = []
        for shape in self.shape_numbers:
            indices = [numbers.setdefault(t, len(numbers)) for t in shape.templates]
            shapes.append({"size": shape.size, "conditions": list(shape.conditions), "templates": indices})
        if max(len(shapes), len(numbers)) > 0xFFFF:
            raise Unknown("the kernel has too many different alternatives")
        templates = [{"code": t.code.hex(), "fixes": [list(fix) for fix in t.fixes]} for t in numbers]
        return shapes, templates

    def paged(self, entries: list[tuple[int, int]]) -> tuple[bytes, bytes]:
        """(address, u16) in address order → (index by page, numbers)."""
        index = [0] * (self.npages + 1)
        for va, _ in entries:
            index[(va - self.text) // PAGE + 1] += 1
        for i in range(self.npages):
            index[i + 1] += index[i]
        return u32(index), u16(number for _, number in entries)

    def blank(self, data: bytes) -> bytes:
        """`data`, the code's bytes, with zeros at every place."""
        canonical = bytearray(data)
        for region in self.r.regions:
            at = region.va - self.text
            if at + region.size > len(data):
                raise Unknown("a patch site reaches beyond .text")
            canonical[at : at + region.size] = bytes(region.size)
        return bytes(canonical)

    @staticmethod
    def digests(canonical: bytes) -> dict[str, bytes]:
        """`text.sha256` and `text.blake3` of each page, and `text.lines`, 16-bit sums of its lines."""
        pages = [canonical[at : at + PAGE] for at in range(0, len(canonical), PAGE)]
        lines = bytearray()
        for page in pages:
            sums = [zlib.crc32(page[i : i + LINE]) & 0xFFFF for i in range(0, len(page), LINE)]
            lines += struct.pack("<64H", *(sums + [0] * (64 - len(sums))))
        return tables("text", pages) | {"text.lines": bytes(lines)}

    def sites(self, pads: Mapping[int, int]) -> dict[str, bytes]:
        """`site_index`, `sites`, `args`, `jumps`, `jump_keys`, `call_keys`, `function_index`, `functions`.

        `pads` says what stands in front of a function, 0 for those that are not in it.
        """
        entries, args = [], []
        for region in self.r.regions:
            if region.size > LINE:
                raise Unknown(f"the patch site at {region.va:#x} has {region.size} bytes")
            entries.append((region.va, region.kind << 12 | region.va % PAGE))
            args += [self.shape_numbers[region.shape]] if region.shape else list(region.args)
        index, sites = self.paged(entries)
        function_index, functions = self.paged(
            [(va, pads.get(va, 0) << 12 | va % PAGE) for va in self.functions]
        )
        return {
            "site_index": index,
            "sites": sites,
            "args": u16(args),
            "jumps": self._jumps(),
            "jump_keys": u32(self.off(va) for va in self.r.jump_keys),
            "call_keys": u32(self.off(va) for va in self.r.call_keys),
            "function_index": function_index,
            "functions": functions,
        }

    def _jumps(self) -> bytes:
        keys = {va: i for i, va in enumerate(self.r.jump_keys)}
        by_code = {jump.code: jump for jump in self.r.sites.jumps}
        out = bytearray()
        for region in self.r.regions:
            if region.kind == Kind.JUMP_LABEL:
                jump = by_code[region.va]
                if not self.text <= jump.target < self.etext:
                    raise Unknown(f"the jump label at {jump.code:#x} leads out of .text")
                out += struct.pack("<IHBB", self.off(jump.target), keys[jump.key], jump.size, jump.branch)
        return bytes(out)
