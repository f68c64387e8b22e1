"""ro-after-init: what the kernel writes while it boots, and maps read-only before it runs programs.

Every byte is one of these; where a byte falls follows from the package alone:

- *exact*: the file's, relocated; nothing in the code writes it.  The jump table, too: it is sorted at boot,
  and a sorted table is known.
- *static call sites*: sorted, equal ones in an order of the sort's own; compared as a set.
- *pointers* to functions: `function-pointers` judges them.
- *constants*: what is written is a number in the instructions: one of those, or the file's.
- *vDSO*: its own alternatives, one of their encodings.
- *per-CPU offsets*: the file's value where there is no CPU, else the beginning of a page.
- *boot values*: what depends on the machine.  Only where they lead is judged: see the check.
"""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.function_pointers.golden import Pointers
from tinyvmi_build.checks.lib import code_stores
from tinyvmi_build.checks.lib.digests import tables
from tinyvmi_build.checks.lib.unknown import Unknown, require
from tinyvmi_build.checks.ro_after_init import vdso
from tinyvmi_build.checks.ro_after_init.boot_values import is_boot_value
from tinyvmi_build.checks.ro_after_init.copied import copied
from tinyvmi_build.checks.rodata.golden import BIAS, LINE, PAGE
from tinyvmi_build.checks.text.series import series_of
from tinyvmi_build.kernel.relocs import RelocKind

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Kinds of places (enum tv_boot_kind).
VALUE, CONSTANT, ENCODING = range(3)
#: How a byte is judged; the places' kinds are among them.
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
PER_CPU = "__per_cpu_offset"
KEY_SIZE = 16  # struct static_key (linux/jump_label.h)
INIT = 2  # JUMP_TYPE_…, STATIC_CALL_SITE_INIT: the site lies in code that is given back


@dataclass
class Place:
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
            raise Unknown("ro_after_init does not lie in .rodata")
        self.series = series_of(image)
        self.va = self.start // PAGE * PAGE
        self.npages = (self.end - self.va + PAGE - 1) // PAGE
        self.data = bytearray(self.end - self.va)
        self.data[self.start - self.va :] = image.read(self.start, self.end - self.start)
        self.discarded = require(image, "__init_begin"), require(image, "__init_end")
        #: How each byte is judged.
        self.map = bytearray([EXACT]) * (self.end - self.va)
        self.map[: self.start - self.va] = bytes([POINTER]) * (self.start - self.va)  # not this check's
        self.places: list[Place] = []
        self.array = (
            0,
            0,
            0,
            False,
        )  # __per_cpu_offset: offset, bytes, the file's value, whether it is an address
        self._sort_jump_table()
        self._judge_boot_values()
        self._judge_keys()
        self._judge_copied()
        self._judge_pointers()
        self._judge_vdso()
        self.sites = self._static_call_sites()
        self._tidy()

    # Jump labels (kernel/jump_label.c, jump_label_init() and jump_label_sort_entries()).

    def _sort_jump_table(self) -> None:
        start, end = require(self.image, "__start___jump_table"), require(self.image, "__stop___jump_table")
        if not self.start <= start <= end <= self.end or (end - start) % 16:
            raise Unknown("the jump table does not lie in ro_after_init")
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
            raise Unknown("the sites of static calls do not lie in ro_after_init")
        self.sites_at = start - self.va
        found = []
        for va in range(start, end, 8):
            site, key = struct.unpack("<ii", self.image.read(va, 8))
            key += va + 4
            found.append((va + site - self.image.text_va, (key | self._init(va + site)) - self.image.text_va))
        self._mark(start, end - start, SITES)
        if len(set(found)) != len(found):
            raise Unknown("two sites of static calls are the same")
        return sorted(found, key=lambda entry: (entry[1] & ~3, entry[0], entry[1]))

    # What boot code writes.

    def _judge_boot_values(self) -> None:
        for start, size, name in self._objects:
            if name == PER_CPU and self._file(start, size) == self._file(start, 8) * (size // 8):
                self._mark(start, size, ARRAY)
                self.array = start - self.va, size, self.image.u64(start), start in self._relocated
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
                self.places.append(Place(offset, size, CONSTANT, sorted({own, *word.values})))

    def _mark_loose(self, start: int, size: int) -> None:
        """The words of an object but its relocated ones, which stay as they are."""
        for at in range(start, start + size, 8):
            if at not in self._relocated:
                self._mark(at, min(8, start + size - at), VALUE)

    def _judge_keys(self) -> None:
        """Static keys point to their entries of the sorted table, and count who enabled them."""
        for key in self.keys:
            if self.start <= key < self.end:
                self._mark(key, min(KEY_SIZE, self.end - key), VALUE)

    def _judge_copied(self) -> None:
        """Pointers that were empty in the file, and that a recognised hypervisor's description fills."""
        for va, written in copied(self.image).items():
            if self.start <= va <= self.end - 8 and va % 8 == 0 and va not in self._relocated:
                own = self.image.u64(va), False
                self._mark(va, 8, CONSTANT)
                values = sorted({own, *((value, value != 0) for value in written.values)})
                self.places.append(Place(va - self.va, 8, CONSTANT, values))

    def _judge_pointers(self) -> None:
        pointers = Pointers(self.image)
        for va in (*pointers.functions, *pointers.tables):
            if self.start <= va < self.end:
                self._mark(va, 8, POINTER)

    def _judge_vdso(self) -> None:
        for (va, size), codes in sorted(vdso.encodings(self.image).items()):
            if not self.start <= va <= va + size <= self.end:
                raise Unknown("the vDSO's images do not lie in ro_after_init")
            self._mark(va, size, ENCODING)
            self.places.append(Place(va - self.va, size, ENCODING, codes=codes))

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
                raise Unknown("a relocation in ro_after_init is not as this generator expects")
            found.add(va)
        return found

    def _file(self, va: int, size: int) -> bytes:
        return self.image.read(va, size)

    def _mark(self, va: int, size: int, kind: int) -> None:
        self.map[va - self.va : va - self.va + size] = bytes([kind]) * size

    # What comes out.

    def _tidy(self) -> None:
        """Bytes that two of the above claim are boot values, and a relocated word is one as a whole."""
        self.places = [
            place
            for place in sorted(self.places, key=lambda place: place.offset)
            if all(kind == place.kind for kind in self.map[place.offset : place.offset + place.size])
        ]
        covered = bytearray(len(self.map))
        for place in self.places:
            covered[place.offset : place.offset + place.size] = b"\1" * place.size
        for at, kind in enumerate(self.map):
            if kind in (CONSTANT, ENCODING) and not covered[at]:
                self.map[at] = VALUE
        for va in self._relocated:
            word = self.map[va - self.va : va - self.va + 8]
            if EXACT in word and any(kind != EXACT for kind in word):
                if set(word) != {EXACT, VALUE}:
                    raise Unknown("a relocated word in ro_after_init is judged in two ways")
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

    def blank(self) -> bytes:
        """The expected bytes before relocation, zeros where the digest is not to look."""
        return bytes(byte if kind == EXACT else 0 for byte, kind in zip(self.data, self.map, strict=True))


_RUN = re.compile(rb"(.)\1*", re.DOTALL)
_last: tuple[KernelImage, Section] | None = None  # golden() and blobs() of one kernel share the work


def _section(image: KernelImage) -> Section:
    global _last
    if _last is None or _last[0] is not image:
        _last = image, Section(image)
    return _last[1]


def golden(image: KernelImage) -> dict[str, Any]:
    """`{"symbol", "start", "va", "size", "bytes", "sites_at", "array", "constants", "encodings"}`.

    `va` is that of the first page, `size` counts from there; `bytes` says how many are judged in which way;
    `constants` are `[offset, size, [[number, is a link address], …]]`, `encodings` `[offset, size, [hex]]`;
    `sites_at` is the offset of the sites of static calls, 0 if there are none; `array` is `[offset, bytes,
    the file's value, is a link address]` of __per_cpu_offset.
    """
    section = _section(image)
    own = section.map[section.start - section.va :]
    return {
        "symbol": "__start_ro_after_init",
        "start": section.start,
        "va": section.va,
        "size": len(section.map),
        "bytes": {name: own.count(kind) for kind, name in KINDS.items()},
        "sites_at": section.sites_at,
        "array": section.array,
        "nr_cpu_ids": require(image, "nr_cpu_ids"),
        "constants": [[p.offset, p.size, p.values] for p in section.places if p.kind == CONSTANT],
        "encodings": [
            [p.offset, p.size, [c.hex() for c in p.codes]] for p in section.places if p.kind == ENCODING
        ],
    }


def blobs(image: KernelImage) -> dict[str, bytes]:
    """Tables by name: `ro-after-init` the expected bytes, `.kinds` how each is judged (a byte each);

    `.sha256`, `.blake3`, `.lines`, `.reloc_index`, `.relocs` as those of `rodata`, with zeros
    where a place is;
    `.run_index` u32, pages + 1; `.runs` u16 pairs, offset in the page and kind << 13 | bytes;
    `.sites` pairs of u32, site and key of each static call from _text, by key and site.
    """
    global _last
    section = _section(image)
    _last = None
    data = section.blank()
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    lines = bytearray()
    for page in pages:
        sums = [zlib.crc32(page[at : at + LINE]) & 0xFFFF for at in range(0, len(page), LINE)]
        lines += struct.pack("<64H", *(sums + [0] * (64 - len(sums))))
    relocs: list[list[int]] = [[] for _ in pages]
    for va in sorted(section._relocated):
        number, offset = divmod(va - section.va, PAGE)
        if section.map[va - section.va] == EXACT:
            relocs[number].append(offset + BIAS)
    runs = section.runs()
    return {
        "ro-after-init": bytes(section.data),
        "ro-after-init.kinds": bytes(section.map),
        **tables("ro-after-init", pages),
        "ro-after-init.lines": bytes(lines),
        "ro-after-init.reloc_index": _index(relocs),
        "ro-after-init.relocs": b"".join(struct.pack("<H", r) for page in relocs for r in page),
        "ro-after-init.run_index": _index(runs),
        "ro-after-init.runs": b"".join(
            struct.pack("<HH", at, kind << 13 | size) for page in runs for at, size, kind in page
        ),
        "ro-after-init.sites": b"".join(struct.pack("<II", site, key) for site, key in section.sites),
    }


def _index(pages: Sequence[Sequence[Any]]) -> bytes:
    ends = list(itertools.accumulate((len(page) for page in pages), initial=0))
    return struct.pack(f"<{len(ends)}I", *ends)
