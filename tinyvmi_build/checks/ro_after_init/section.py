"""ro-after-init: how each byte of the section is compared, from the package alone."""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tinyvmi_build.checks.function_pointers.pointers import Pointers
from tinyvmi_build.checks.lib import code_stores
from tinyvmi_build.checks.lib.digest_range import BIAS, PAGE, digest_range, index_of
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.ro_after_init import vdso
from tinyvmi_build.checks.ro_after_init.boot_values import is_boot_value
from tinyvmi_build.checks.ro_after_init.copied import copied
from tinyvmi_build.checks.ro_after_init.golden import (
    ARRAY,
    CONSTANT,
    ENCODING,
    EXACT,
    KINDS,
    POINTER,
    SITES,
    VALUE,
    BootConstant,
    BootEncoding,
    BootNumber,
    PerCpuArray,
    RoAfterInitGolden,
)
from tinyvmi_build.checks.text.series import series_of
from tinyvmi_build.kernel.relocs import RelocKind
from tinyvmi_build.profile.encoding import Blob, U16s, U32s

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

PER_CPU = "__per_cpu_offset"
KEY_SIZE = 16  # struct static_key (linux/jump_label.h)
INIT = 2  # JUMP_TYPE_…, STATIC_CALL_SITE_INIT: the site lies in code that is given back


@dataclass
class Blank:
    """Bytes that the digest leaves out: their offset from the first page, and what may stand there."""

    offset: int
    size: int
    kind: int
    values: list[tuple[int, bool]] = field(default_factory=list)  # (number, is a link address)
    codes: list[bytes] = field(default_factory=list)


class Section:
    """`ro_after_init` of one kernel."""

    def __init__(self, image: KernelImage):
        self.image = image
        self.start, self.end = require(image, "__start_ro_after_init"), require(image, "__end_ro_after_init")
        rodata = image.section(".rodata")
        if not rodata.addr <= self.start < self.end <= rodata.addr + rodata.size:
            raise UnsupportedError("ro_after_init does not lie in .rodata")
        self.series = series_of(image)
        self.va = self.start // PAGE * PAGE
        self.npages = (self.end - self.va + PAGE - 1) // PAGE
        self.data = bytearray(self.end - self.va)
        self.data[self.start - self.va :] = image.read(self.start, self.end - self.start)
        self.discarded = require(image, "__init_begin"), require(image, "__init_end")
        #: How each byte is compared.
        self.map = bytearray([EXACT]) * (self.end - self.va)
        self.map[: self.start - self.va] = bytes([POINTER]) * (self.start - self.va)  # not this check's
        self.blanks: list[Blank] = []
        self.array = PerCpuArray(0, 0, BootNumber(0, False))
        self._sort_jump_table()
        self._mark_boot_values()
        self._mark_keys()
        self._mark_copied()
        self._mark_pointers()
        self._mark_vdso()
        self.sites = self._static_call_sites()
        self._tidy()

    # Jump labels (kernel/jump_label.c, jump_label_init() and jump_label_sort_entries()).

    def _sort_jump_table(self) -> None:
        start, end = require(self.image, "__start___jump_table"), require(self.image, "__stop___jump_table")
        if not self.start <= start <= end <= self.end or (end - start) % 16:
            raise UnsupportedError("the jump table does not lie in ro_after_init")
        entries = []
        for va in range(start, end, 16):
            code, target, key = struct.unpack("<iiq", self.image.read(va, 16))
            entries.append((va + code, va + 4 + target, va + 8 + key))
        entries.sort(key=lambda entry: (entry[2] & ~3, entry[0]))
        self.keys = sorted({key & ~3 for _, _, key in entries})
        for i, (code, target, key) in enumerate(entries):
            va = start + 16 * i
            key = key & ~INIT | self._init(code)
            struct.pack_into("<iiq", self.data, va - self.va, code - va, target - va - 4, key - va - 8)

    def _init(self, va: int) -> int:
        return INIT if self.discarded[0] <= va < self.discarded[1] else 0

    # Static calls (kernel/static_call_inline.c, __static_call_init()).

    def _static_call_sites(self) -> list[tuple[int, int]]:
        """(site, key and its bits) from _text, sorted."""
        start, end = (self.image.symbols.get(f"__{edge}_static_call_sites") for edge in ("start", "stop"))
        if start is None or end is None:
            self.sites_at = 0
            return []
        if not self.start <= start <= end <= self.end or (end - start) % 8:
            raise UnsupportedError("the sites of static calls do not lie in ro_after_init")
        self.sites_at = start - self.va
        found = []
        for va in range(start, end, 8):
            site, key = struct.unpack("<ii", self.image.read(va, 8))
            key += va + 4
            found.append((va + site - self.image.text_va, (key | self._init(va + site)) - self.image.text_va))
        self._mark(start, end - start, SITES)
        if len(set(found)) != len(found):
            raise UnsupportedError("two sites of static calls are the same")
        return sorted(found, key=lambda entry: (entry[1] & ~3, entry[0], entry[1]))

    # What boot code writes.

    def _mark_boot_values(self) -> None:
        for start, size, name in self._objects:
            if name == PER_CPU and self._file(start, size) == self._file(start, 8) * (size // 8):
                self._mark(start, size, ARRAY)
                value = BootNumber(self.image.u64(start), start in self._relocated)
                self.array = PerCpuArray(start - self.va, size, value)
            elif is_boot_value(name):
                self._mark_loose(start, size)
            elif start in self._taken and not any(self._file(start, size)):
                self._mark(start, size, VALUE)
        for va, word in sorted(code_stores.written_words(self.image, self.start, self.end).items()):
            size = min(word.size, self.end - va)
            offset = va - self.va
            known = self.map[offset : offset + size]
            if ARRAY in known:
                continue
            if word.any_value or size not in (1, 2, 4, 8) or any(kind != EXACT for kind in known):
                self._mark(va, size, VALUE)
            else:
                # The file's value stays where the instruction is not reached.
                own = int.from_bytes(self._file(va, size), "little"), size == 8 and va in self._relocated
                self._mark(va, size, CONSTANT)
                self.blanks.append(Blank(offset, size, CONSTANT, sorted({own, *word.values})))

    def _mark_loose(self, start: int, size: int) -> None:
        """The words of an object but its relocated ones, which stay as they are."""
        for at in range(start, start + size, 8):
            if at not in self._relocated:
                self._mark(at, min(8, start + size - at), VALUE)

    def _mark_keys(self) -> None:
        """Static keys point to their entries of the sorted table, and count who enabled them."""
        for key in self.keys:
            if self.start <= key < self.end:
                self._mark(key, min(KEY_SIZE, self.end - key), VALUE)

    def _mark_copied(self) -> None:
        """Pointers that were empty in the file, and that a recognised hypervisor's description fills."""
        for va, written in copied(self.image).items():
            if self.start <= va <= self.end - 8 and va % 8 == 0 and va not in self._relocated:
                own = self.image.u64(va), False
                self._mark(va, 8, CONSTANT)
                values = sorted({own, *((value, value != 0) for value in written.values)})
                self.blanks.append(Blank(va - self.va, 8, CONSTANT, values))

    def _mark_pointers(self) -> None:
        pointers = Pointers(self.image)
        for va in (*pointers.functions, *pointers.tables):
            if self.start <= va < self.end:
                self._mark(va, 8, POINTER)

    def _mark_vdso(self) -> None:
        for (va, size), codes in sorted(vdso.encodings(self.image).items()):
            if not self.start <= va <= va + size <= self.end:
                raise UnsupportedError("the vDSO's images do not lie in ro_after_init")
            self._mark(va, size, ENCODING)
            self.blanks.append(Blank(va - self.va, size, ENCODING, codes=codes))

    @cached_property
    def _taken(self) -> set[int]:
        """Objects whose address code takes, or that it indexes."""
        starts = [start for start, _, _ in self._objects]
        return {
            starts[bisect_right(starts, va) - 1] for va in code_stores.taken(self.image, self.start, self.end)
        }

    @cached_property
    def _objects(self) -> list[tuple[int, int, str]]:
        """(link address, bytes up to the next symbol, name) of each object, in address order."""
        starts = [self.start]
        while (following := self.image.symbols.next_address(starts[-1])) < self.end:
            starts.append(following)
        ends = [*starts[1:], self.end]
        return [
            (start, end - start, (self.image.symbols.nearest(start) or ("", 0))[0])
            for start, end in zip(starts, ends, strict=True)
        ]

    @cached_property
    def _relocated(self) -> set[int]:
        found = set()
        for va, kind in self.image.relocs_in(self.start - 8, self.end):
            if kind != RelocKind.R64 or va < self.start or va % PAGE > PAGE - 8:
                raise UnsupportedError("a relocation in ro_after_init is not as this generator expects")
            found.add(va)
        return found

    def _file(self, va: int, size: int) -> bytes:
        return self.image.read(va, size)

    def _mark(self, va: int, size: int, kind: int) -> None:
        self.map[va - self.va : va - self.va + size] = bytes([kind]) * size

    # What comes out.

    def _tidy(self) -> None:
        """Bytes that two of the above claim are boot values, and a relocated word is one as a whole."""
        self.blanks = [
            blank
            for blank in sorted(self.blanks, key=lambda blank: blank.offset)
            if all(kind == blank.kind for kind in self.map[blank.offset : blank.offset + blank.size])
        ]
        covered = bytearray(len(self.map))
        for blank in self.blanks:
            covered[blank.offset : blank.offset + blank.size] = b"\1" * blank.size
        for at, kind in enumerate(self.map):
            if kind in (CONSTANT, ENCODING) and not covered[at]:
                self.map[at] = VALUE
        for va in self._relocated:
            word = self.map[va - self.va : va - self.va + 8]
            if EXACT in word and any(kind != EXACT for kind in word):
                if set(word) != {EXACT, VALUE}:
                    raise UnsupportedError("a relocated word in ro_after_init is compared in two ways")
                self._mark(va, 8, VALUE)

    def runs(self) -> list[list[tuple[int, int, int]]]:
        """For each page (offset in it, bytes, kind) of what is not exact, in order."""
        found: list[list[tuple[int, int, int]]] = []
        for page in range(self.npages):
            kinds = bytes(self.map[page * PAGE : (page + 1) * PAGE])
            found.append(
                [
                    (match.start(), len(match[0]), kinds[match.start()])
                    for match in _RUN.finditer(kinds)
                    if kinds[match.start()] != EXACT
                ]
            )
        return found

    def exact_relocations(self) -> list[list[int]]:
        """For each page the relocations of what is exact, as a digest range has them."""
        found: list[list[int]] = [[] for _ in range(self.npages)]
        for va in sorted(self._relocated):
            number, offset = divmod(va - self.va, PAGE)
            if self.map[va - self.va] == EXACT:
                found[number].append(offset + BIAS)
        return found

    def blank(self) -> bytes:
        """The expected bytes before relocation, zeros where the digest has a blank."""
        return bytes(byte if kind == EXACT else 0 for byte, kind in zip(self.data, self.map, strict=True))


_RUN = re.compile(rb"(.)\1*", re.DOTALL)


def golden_values(image: KernelImage) -> RoAfterInitGolden:
    """Of a kernel with relocations."""
    section = Section(image)
    own = section.map[section.start - section.va :]
    runs = section.runs()
    return RoAfterInitGolden(
        symbol="__start_ro_after_init",
        start=section.start,
        va=section.va,
        size=len(section.map),
        counts={name: own.count(kind) for kind, name in KINDS.items()},
        sites_at=section.sites_at,
        array=section.array,
        nr_cpu_ids=require(image, "nr_cpu_ids"),
        constants=tuple(
            BootConstant(p.offset, p.size, tuple(BootNumber(*value) for value in p.values))
            for p in section.blanks
            if p.kind == CONSTANT
        ),
        encodings=tuple(
            BootEncoding(p.offset, p.size, tuple(p.codes)) for p in section.blanks if p.kind == ENCODING
        ),
        content=Blob(bytes(section.data)),
        kinds=Blob(bytes(section.map)),
        pages=digest_range(section.blank(), section.exact_relocations()),
        run_index=index_of(runs),
        runs=U16s.of(n for page in runs for at, size, kind in page for n in (at, kind << 13 | size)),
        sites=U32s.of(n for site in section.sites for n in site),
    )
