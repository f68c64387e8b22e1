"""A kernel's symbols, packed: looked up by name and by address without being unpacked.

The packed form is what a profile holds, so that a dom0 that only wants to name
an address pays for nothing else.  Standard library only.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.missing import MissingFactError

# Labels of linker scripts and compilers, which name a place and not an object.
_MARKER_PREFIXES = ("__start_", "__stop_", "__end_", "__pfx_", "__cfi_", ".L", "__ksymtab_", "__kstrtab")
_MARKERS = {"_text", "_stext", "_sdata", "_sinittext", "__init_begin", "__per_cpu_start", "__bss_start"}


@dataclass(frozen=True)
class Symbol:
    """`address` is the link address; `type` the letter that nm(1) prints."""

    name: str
    address: int
    type: str

    @property
    def absolute(self) -> bool:
        """True if the address does not move with KASLR: constants, and per-CPU offsets before Linux 6.15."""
        return self.type in "Aa"


class SymbolTable:
    """Symbols in address order.

    `addresses` array('Q') sorted; `types` one ASCII byte each; `names` the names,
    each followed by NUL; `name_starts` array('I') into it; `by_name` array('I'),
    the indices in the byte order of their names.  Raises UsageError if the parts disagree.
    """

    def __init__(
        self,
        addresses: array[int],
        types: bytes,
        names: bytes,
        name_starts: array[int],
        by_name: array[int],
        where: str = "kernel",
    ):
        sizes = {len(addresses), len(types), len(name_starts), len(by_name)}
        if len(sizes) > 1 or max(by_name, default=-1) >= len(addresses):
            raise UsageError(f"{where}: the symbol table is damaged", hint="build the profile again")
        self.addresses = addresses
        self.types = types
        self.names = names
        self.name_starts = name_starts
        self.by_name = by_name
        self.where = where

    @classmethod
    def from_symbols(cls, symbols: Iterable[tuple[int, str, bytes]], where: str) -> SymbolTable:
        """From (address, type, name) in any order; those of one address keep theirs."""
        ordered = sorted(symbols, key=lambda s: s[0])
        starts = array("I")
        at = 0
        for _, _, name in ordered:
            starts.append(at)
            at += len(name) + 1
        return cls(
            array("Q", [s[0] for s in ordered]),
            "".join([s[1] for s in ordered]).encode("ascii", "replace"),
            b"".join([s[2] + b"\0" for s in ordered]),
            starts,
            array("I", sorted(range(len(ordered)), key=lambda i: ordered[i][2])),
            where,
        )

    @classmethod
    def from_packed(cls, parts: dict[str, bytes], where: str) -> SymbolTable:
        """From what `packed()` gave."""
        try:
            return cls(
                _array("Q", parts["addresses"]),
                parts["types"],
                parts["names"],
                _array("I", parts["name_starts"]),
                _array("I", parts["by_name"]),
                where,
            )
        except (KeyError, ValueError):
            raise UsageError(
                f"{where}: the symbol table is damaged", hint="build the profile again"
            ) from None

    def packed(self) -> dict[str, bytes]:
        """The parts as little-endian bytes."""
        return {
            "addresses": _bytes(self.addresses),
            "types": self.types,
            "names": self.names,
            "name_starts": _bytes(self.name_starts),
            "by_name": _bytes(self.by_name),
        }

    def __len__(self) -> int:
        return len(self.addresses)

    def __getitem__(self, index: int) -> Symbol:
        return Symbol(
            self._name(index).decode("ascii", "backslashreplace"),
            self.addresses[index],
            chr(self.types[index]),
        )

    def __iter__(self) -> Iterator[Symbol]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def _name(self, index: int) -> bytes:
        start = self.name_starts[index]
        return self.names[start : self.names.find(b"\0", start)]

    def all(self, name: str) -> list[Symbol]:
        """Every symbol called `name` (static functions may share one), in address order."""
        wanted = name.encode()
        first = bisect_left(self.by_name, wanted, key=self._name)
        last = bisect_right(self.by_name, wanted, lo=first, key=self._name)
        return [self[i] for i in sorted(self.by_name[first:last])]

    def lookup(self, name: str) -> int:
        """Link address of the symbol `name`; MissingFactError (a KeyError) if there is none or several."""
        found = self.all(name)
        if not found:
            raise MissingFactError(
                f"{self.where}: the kernel has no symbol {name}",
                hint="was it built with CONFIG_KALLSYMS_ALL=y, as distributions do?",
            )
        if len({s.address for s in found}) > 1:
            places = ", ".join(f"{s.address:#x}" for s in found[:4])
            raise MissingFactError(f"{self.where}: the symbol {name} is not unique ({places})")
        return found[0].address

    def get(self, name: str) -> int | None:
        """Like lookup(), but None if there is no such symbol."""
        return self.lookup(name) if name in self else None

    def at(self, va: int) -> list[Symbol]:
        """Every symbol at exactly `va`."""
        first = bisect_left(self.addresses, va)
        last = bisect_right(self.addresses, va)
        return [self[i] for i in range(first, last)]

    def next_address(self, va: int) -> int:
        """The lowest address of a symbol above `va`: where what begins at `va` ends at the latest."""
        i = bisect_right(self.addresses, va)
        if i == len(self):
            raise MissingFactError(f"{self.where}: the kernel has no symbol above {va:#x}")
        return self.addresses[i]

    def nearest(self, va: int) -> tuple[str, int] | None:
        """(name, bytes into it) of the last symbol at or below `va`; None if `va` is not in the image.

        Of several at one address, a global function or object is preferred to
        local ones and to the labels of linker scripts.
        """
        last = bisect_right(self.addresses, va)
        if last == 0:
            return None
        address = self.addresses[last - 1]
        is_last = (
            last == len(self) or self.addresses[last] >> 63 != va >> 63
        )  # of its half: per-CPU or kernel
        if address >> 63 != va >> 63 or (is_last and va > address):
            return None
        first = bisect_left(self.addresses, address)
        return min((self[i] for i in range(first, last)), key=_preference).name, va - address

    def per_cpu(self, symbol: Symbol) -> bool:
        """True if the symbol is an offset into, or lies in, the per-CPU area."""
        start, end = self._per_cpu_bounds
        return start <= symbol.address < end

    @cached_property
    def _per_cpu_bounds(self) -> tuple[int, int]:
        start, end = self.get("__per_cpu_start"), self.get("__per_cpu_end")
        return (0, 0) if start is None or end is None else (start, end)


def _preference(symbol: Symbol) -> tuple[bool, bool, int, str]:
    name = symbol.name
    marker = (
        name.startswith(_MARKER_PREFIXES) or name in _MARKERS or name.endswith(("_start", "_end", "_begin"))
    )
    return marker, not symbol.type.isupper(), len(name) - len(name.lstrip("_.")), name


def _array(code: str, data: bytes) -> array[int]:
    values = array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()
