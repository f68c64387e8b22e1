"""kallsyms: the symbol table that the kernel carries in its own .rodata.

A packaged vmlinux has no .symtab.  Written by scripts/kallsyms.c, read by
kernel/kallsyms.c.  The tables have no headers; the token table is found by its
digits and proved by its index, the rest by its place relative to it:

    before 6.4   offsets, relative_base, num_syms, names, markers, [seqs_of_names,] token_table, token_index
    since 6.4    num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs_of_names

Each table is aligned to 8 bytes.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterator

from ..errors import UsageError
from .symbols import SymbolTable

_DIGITS = b"\0".join(str(d).encode() for d in range(10)) + b"\0"
_MIN_SYMBOLS = 256
_MAX_SYMBOLS = 1 << 21
_MAX_TOKENS = 256 * 64  # bytes; real tables have about 1,000
_SEARCH = 32 << 20  # how far before the token table its names may begin
_BASE_MIN = 0xFFFFFFFF80000000  # __START_KERNEL_map


def parse_kallsyms(region: bytes, where: str) -> SymbolTable:
    """The symbols in `region`, the bytes of `.rodata` starting at an 8-byte aligned address.

    Raises UsageError if there are no tables (CONFIG_KALLSYMS=n) or they are damaged.
    """
    for token_start, tokens, behind in _token_tables(region):
        found = _names(region, token_start)
        if found is None:
            continue
        count_at, names = found
        addresses = _addresses(region, count_at, behind, len(names))
        if addresses is None:
            continue
        symbols = []
        for address, packed in zip(addresses, names, strict=True):
            name = b"".join([tokens[b] for b in packed])
            if len(name) < 2 or name[0] > 0x7E:
                raise UsageError(
                    f"{where}: kallsyms has a symbol without a name", hint="is the package damaged?"
                )
            symbols.append((address, chr(name[0]), name[1:]))
        return SymbolTable.from_symbols(symbols, where)
    raise UsageError(
        f"{where}: the kernel has no kallsyms tables, so its variables cannot be found",
        hint="a kernel with CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y is needed, as distributions build them",
    )


def _token_tables(region: bytes) -> Iterator[tuple[int, list[bytes], int]]:
    """Each (start, 256 tokens, offset behind the index) that proves itself."""
    for match in re.finditer(re.escape(_DIGITS), region):
        at = match.start()
        for _ in range(ord("0") + 1):
            at = region.rfind(b"\0", max(0, at - 256), at)
            if at < 0:
                break
        start = at + 1
        if at < 0 or start % 8:
            continue
        tokens = region[start : start + _MAX_TOKENS].split(b"\0", 256)[:256]
        offsets = [0]
        for token in tokens:
            offsets.append(offsets[-1] + len(token) + 1)
        index_at = start + (offsets.pop() + 7 & ~7)
        if len(offsets) == 256 and region[index_at : index_at + 512] == struct.pack("<256H", *offsets):
            yield start, tokens, index_at + 512


def _names(region: bytes, token_start: int) -> tuple[int, list[bytes]] | None:
    """(offset of num_syms, the compressed names), looked for upwards from the token table."""
    floor = max(0, token_start - _SEARCH)
    # num_syms is a u32 padded to 8 bytes: as u64 it is small, which little else here is.
    values = _u64s(region[floor:token_start])
    for i in range(len(values) - 1, -1, -1):
        count = values[i]
        if _MIN_SYMBOLS <= count <= _MAX_SYMBOLS:
            names = _walk(region, floor + i * 8 + 8, token_start, count)
            if names is not None:
                return floor + i * 8, names
    return None


def _walk(region: bytes, start: int, stop: int, count: int) -> list[bytes] | None:
    """The `count` compressed names at `start` if the markers behind them agree, else None."""
    names = []
    markers = []
    at = start
    for i in range(count):
        if at >= stop:
            return None
        if i % 256 == 0:
            markers.append(at - start)
        length = region[at]
        at += 1
        if length & 0x80:  # two bytes since 6.1: Rust's names are long
            length = length & 0x7F | region[at] << 7
            at += 1
        if length == 0:
            return None
        names.append(region[at : at + length])
        at += length
    at = at + 7 & ~7
    if at + 4 * len(markers) > stop:
        return None
    return names if region[at : at + 4 * len(markers)] == struct.pack(f"<{len(markers)}I", *markers) else None


def _addresses(region: bytes, count_at: int, behind: int, count: int) -> list[int] | None:
    """Link addresses by either layout, None if neither fits."""
    size = 4 * count + 7 & ~7
    for offsets_at, base_at in ((count_at - 8 - size, count_at - 8), (behind, behind + size)):
        if offsets_at < 0 or base_at + 8 > len(region):
            continue
        base = int.from_bytes(region[base_at : base_at + 8], "little")
        if base < _BASE_MIN:
            continue
        offsets = array("i", region[offsets_at : offsets_at + 4 * count])
        if sys.byteorder == "big":
            offsets.byteswap()
        # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: what is not negative does not move with the kernel.
        signed = any(o < 0 for o in offsets)
        addresses = (
            [o if o >= 0 else base - 1 - o for o in offsets] if signed else [base + o for o in offsets]
        )
        if max(addresses) < 1 << 64:
            return addresses
    return None


def _u64s(data: bytes) -> array[int]:
    values = array("Q", data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        values.byteswap()
    return values
