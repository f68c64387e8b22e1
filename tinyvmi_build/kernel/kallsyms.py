"""kallsyms: the symbol table that the kernel carries in its own .rodata.

A packaged vmlinux has no .symtab.  Written by scripts/kallsyms.c, read by
kernel/kallsyms.c.  The tables have no headers; the token table is found by its
digits and proved by its index, the other tables by where they lie relative to it:

    before 6.4   offsets, relative_base, num_syms, names, markers, [seqs_of_names,] token_table, token_index
    since 6.4    num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names
    since 7.0    the same without relative_base; each offset counts from its own place

Each table is aligned to 8 bytes, to 4 since relative_base went.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.symbols import SymbolTable

_DIGITS = b"\0".join(str(d).encode() for d in range(10)) + b"\0"
_MIN_SYMBOLS = 256
_MAX_SYMBOLS = 1 << 20
_MAX_NAME = 1024  # KSYM_NAME_LEN is 512
_MAX_TOKENS = 256 * 64  # bytes; real tables have about 1,000
# Bounds on the search, for input that was made to keep us busy.
_MAX_MATCHES = 1024
_MAX_STEPS = 4 << 20  # names read before giving up
_SEARCH = 32 << 20  # how far before the token table its names may begin
_BASE_MIN = 0xFFFFFFFF80000000  # __START_KERNEL_map


def parse_kallsyms(region: bytes, va: int, where: str) -> SymbolTable:
    """The symbols in `region`, the bytes of `.rodata`, whose link address `va` is aligned to 8.

    Raises UsageError if there are no tables (CONFIG_KALLSYMS=n) or they are damaged.
    """
    for tables in _found(region, va):
        symbols = []
        for address, packed in zip(tables.addresses, tables.names, strict=True):
            name = b"".join([tables.tokens.tokens[b] for b in packed])
            if not 2 <= len(name) <= _MAX_NAME or name[0] > 0x7E:
                raise UsageError(f"{where}: a kallsyms name is damaged", hint="fetch the package again")
            symbols.append((address, chr(name[0]), name[1:]))
        return SymbolTable.from_symbols(symbols, where)
    raise UsageError(
        f"{where}: the kernel has no kallsyms tables, so its variables cannot be found",
        hint="a kernel with CONFIG_KALLSYMS_ALL=y is needed, as distributions build them",
    )


def kallsyms_tables(region: bytes, va: int) -> dict[str, int]:
    """Where the tables lie: `kallsyms_NAME` → link address.  scripts/kallsyms.c leaves these names out."""
    for tables in _found(region, va):
        return {f"kallsyms_{name}": va + at for name, at in tables.places().items()}
    return {}


@dataclass(frozen=True)
class _Tokens:
    """The token table: where it starts, where its index ends, and how tables are aligned."""

    tokens: list[bytes]
    start: int
    end: int
    align: int

    def up(self, offset: int) -> int:
        return offset + self.align - 1 & -self.align


@dataclass(frozen=True)
class _Tables:
    """Tables that were found: the names as they are stored, the addresses, and where what lies (offsets)."""

    tokens: _Tokens
    count_at: int
    names: list[bytes]
    addresses: list[int]
    offsets_at: int
    base_at: int | None

    def places(self) -> dict[str, int]:
        up, count = self.tokens.up, len(self.names)
        names_at = self.count_at + self.tokens.align
        markers_at = up(names_at + sum(len(n) + (1 if len(n) < 0x80 else 2) for n in self.names))
        places = {
            "num_syms": self.count_at,
            "names": names_at,
            "markers": markers_at,
            "token_table": self.tokens.start,
            "token_index": self.tokens.end - 512,
            "offsets": self.offsets_at,
        }
        if self.base_at is not None:
            places["relative_base"] = self.base_at
        # Three bytes a symbol, since 6.2.
        sequence_at = up(markers_at + 4 * -(-count // 256))
        if self.offsets_at > self.tokens.start:
            sequence_at = self.offsets_at + up(4 * count) if self.base_at is None else self.base_at + 8
        if sequence_at != self.tokens.start:
            places["seqs_of_names"] = sequence_at
        return places


def _found(region: bytes, va: int) -> Iterator[_Tables]:
    for tokens in _token_tables(region):
        found = _names(region, tokens)
        if found is not None:
            count_at, names = found
            layout = _addresses(region, va, tokens, count_at, len(names))
            if layout is not None:
                yield _Tables(tokens, count_at, names, *layout)


def _token_tables(region: bytes) -> Iterator[_Tokens]:
    """Each token table that its index proves, once for each alignment that fits."""
    for match in islice(re.finditer(re.escape(_DIGITS), region), _MAX_MATCHES):
        at = match.start()
        for _ in range(ord("0") + 1):
            at = region.rfind(b"\0", max(0, at - 256), at)
            if at < 0:
                break
        start = at + 1
        if at < 0 or start % 4:
            continue
        tokens = region[start : start + _MAX_TOKENS].split(b"\0", 256)[:256]
        offsets = [0]
        for token in tokens:
            offsets.append(offsets[-1] + len(token) + 1)
        size = offsets.pop()
        if len(offsets) != 256 or offsets[-1] > 0xFFFF:
            continue
        index = struct.pack("<256H", *offsets)
        for align in (8, 4):
            index_at = start + size + align - 1 & -align
            if start % align == 0 and region[index_at : index_at + 512] == index:
                yield _Tokens(tokens, start, index_at + 512, align)


def _names(region: bytes, tables: _Tokens) -> tuple[int, list[bytes]] | None:
    """(offset of num_syms, the compressed names), searched for upwards from the token table."""
    steps = _MAX_STEPS
    for count_at, count in _counts(region, tables):
        names, complete = _walk(region, tables, count_at + tables.align, min(count, steps))
        if complete and len(names) == count:
            return count_at, names
        steps -= len(names) + 1
        if steps <= 0:
            break
    return None


def _counts(region: bytes, tables: _Tokens) -> Iterator[tuple[int, int]]:
    """(offset, value) of what may be num_syms."""
    floor = max(0, tables.start - _SEARCH) & -tables.align
    if tables.align == 8:
        # A u32 padded to 8 bytes: as u64 it is small, which little else here is.
        values = _array("Q", region[floor : tables.start])
        least, most = _MIN_SYMBOLS, _MAX_SYMBOLS
    else:
        # The markers end at the token table, one for 256 symbols; the first is 0.
        values = _array("I", region[floor : tables.start])
        first = len(values) - 1
        while first > 0 and values[first - 1] < values[first]:
            first -= 1
        markers = len(values) - first
        least, most = max(_MIN_SYMBOLS, markers * 256 - 255), min(_MAX_SYMBOLS, markers * 256)
    for i in range(len(values) - 1, -1, -1):
        if least <= values[i] <= most:
            yield floor + i * tables.align, values[i]


def _walk(region: bytes, tables: _Tokens, start: int, count: int) -> tuple[list[bytes], bool]:
    """The compressed names at `start`, at most `count`; True if the markers behind them agree."""
    names: list[bytes] = []
    markers: list[int] = []
    at = start
    for i in range(count):
        if at >= tables.start:
            return names, False
        if i % 256 == 0:
            markers.append(at - start)
        length = region[at]
        at += 1
        if length & 0x80:  # two bytes since 6.1: Rust's names are long
            length = length & 0x7F | region[at] << 7
            at += 1
        if length == 0:
            return names, False
        names.append(region[at : at + length])
        at += length
    at = tables.up(at)
    expected = struct.pack(f"<{len(markers)}I", *markers)
    return names, region[at : at + len(expected)] == expected


def _addresses(
    region: bytes, va: int, tables: _Tokens, count_at: int, count: int
) -> tuple[list[int], int, int | None] | None:
    """(link addresses, where their offsets lie, where their base lies if any) by whichever layout fits.

    There a base is an address, and addresses ascend.
    """
    size = tables.up(4 * count)
    for offsets_at, base_at in ((count_at - 8 - size, count_at - 8), (tables.end, tables.end + size)):
        base = int.from_bytes(region[base_at : base_at + 8], "little") if base_at > 0 else 0
        if offsets_at < 0 or base < _BASE_MIN:
            continue
        offsets = _array("i", region[offsets_at : offsets_at + 4 * count])
        # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not negative does not move with the kernel.
        absolute = any(o < 0 for o in offsets)
        addresses = [base + o if not absolute else o if o >= 0 else base - 1 - o for o in offsets]
        if _plausible(addresses, count):
            return addresses, offsets_at, base_at
    offsets = _array("i", region[tables.end : tables.end + 4 * count])
    addresses = [va + tables.end + 4 * i + o for i, o in enumerate(offsets)]
    return (addresses, tables.end, None) if _plausible(addresses, count) else None


def _plausible(addresses: list[int], count: int) -> bool:
    if len(addresses) != count or addresses != sorted(addresses):
        return False
    return addresses[0] >= 0 and addresses[-1] < 1 << 64


def _array(code: str, data: bytes) -> array[int]:
    values = array(code)
    values.frombytes(data[: len(data) // values.itemsize * values.itemsize])
    if sys.byteorder == "big":
        values.byteswap()
    return values
