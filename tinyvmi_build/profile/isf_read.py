"""A Volatility 3 symbol table (ISF) → BTF and symbols, for kernels that lack theirs.

Any ISF of schema 4 to 6 for Linux will do, dwarf2json's or our own.  ISF
keeps no typedefs, and no letters for its symbols.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import SYMBOLS, read_file
from tinyvmi_build.kernel.btf import Btf, Kind
from tinyvmi_build.kernel.btf_write import BtfWriter, Field
from tinyvmi_build.kernel.symbols import SymbolTable
from tinyvmi_build.kernel.unpack import unpack

_JSON_BYTES_MAX = 256 << 20  # as Python objects it takes ten times as much
_MAX_DEPTH = 32
#: JSON from outside: what reads it catches what a part that is not as expected raises.
Table = dict[str, Any]


def read_isf(path: Path) -> Table:
    """The JSON document at `path`, plain or xz; UsageError if it is no ISF."""
    data = unpack(read_file(path, SYMBOLS), _JSON_BYTES_MAX, str(path))
    if len(data) > _JSON_BYTES_MAX:
        raise UsageError(f"{path}: is larger than {_JSON_BYTES_MAX >> 20} MiB", hint=_HINT)
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: neither an ELF file nor JSON: {error}", hint=_HINT) from None
    parts = ("base_types", "user_types", "enums", "symbols")
    if not isinstance(table, dict) or not all(isinstance(table.get(part), dict) for part in parts):
        raise UsageError(f"{path}: not a Volatility 3 symbol table", hint=_HINT)
    return table


_HINT = "give a vmlinux with DWARF, or a symbol table of Volatility 3 (dwarf2json, profile export --isf)"


def isf_symbols(table: Table, where: str) -> SymbolTable:
    """The symbols of an ISF.  It has no letters: A (absolute) is for what lies in the lower half, else ?."""
    try:
        found = [
            (
                int(symbol["address"]),
                "?" if int(symbol["address"]) >> 63 else "A",
                name.encode("ascii", "backslashreplace"),
            )
            for name, symbol in table["symbols"].items()
            if 0 <= int(symbol["address"]) < 1 << 64
        ]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise UsageError(f"{where}: a symbol of the table is damaged", hint=_HINT) from None
    return SymbolTable.from_symbols(found, where)


def isf_btf(table: Table, where: str) -> Btf:
    """The types of an ISF."""
    try:
        return Btf(_Converter(table).convert(), where)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(
            f"{where}: the symbol table's types are damaged: {type(error).__name__}: {error}", hint=_HINT
        ) from None


class _Converter:
    def __init__(self, table: Table):
        self.table = table
        self.out = BtfWriter()
        self.ids: dict[tuple[str, str], int] = {}
        self.made: dict[str, int] = {}

    def convert(self) -> bytes:
        table, out = self.table, self.out
        for part in ("base_types", "user_types", "enums"):
            for name in table[part]:
                if name not in ("void", "pointer"):
                    self.ids[part, name] = out.reserve()
        for name, base in table["base_types"].items():
            at = self.ids.get(("base_types", name))
            if at is None:
                continue
            size = _whole(base["size"], 16)
            if base["kind"] == "float":
                out.floating(name, size, at)
            else:
                out.integer(name, size, bool(base["signed"]), at)
        for name, user in table["user_types"].items():
            fields = [self._field(n, f) for n, f in user["fields"].items()]
            fields.sort(key=lambda f: f.bit_offset)
            size = _whole(user["size"], (1 << 32) - 1)
            out.compound(user["kind"] == "union", _plain(name), size, fields, self.ids["user_types", name])
        for name, enum in table["enums"].items():
            constants = {str(k): int(v) for k, v in enum["constants"].items()}
            signed = bool(table["base_types"][enum["base"]]["signed"])
            out.enum(_plain(name), _whole(enum["size"], 16), signed, constants, self.ids["enums", name])
        return out.data()

    def _field(self, name: str, field: Table) -> Field:
        kind, offset = field["type"], 8 * _whole(field["offset"], 1 << 20)
        shown = "" if field.get("anonymous") else name
        if kind["kind"] == "bitfield":
            bit = offset + _whole(kind["bit_position"], 128)
            return Field(shown, self._type(kind["type"]), bit, _whole(kind["bit_length"], 255))
        return Field(shown, self._type(kind), offset)

    def _type(self, described: Table, depth: int = 0) -> int:
        kind = described["kind"]
        if depth > _MAX_DEPTH:
            raise ValueError("types are nested too deeply")
        part = {"base": "base_types", "enum": "enums"}.get(kind, "user_types")
        if kind in ("base", "enum", "struct", "union", "class"):
            if described["name"] == "void":
                return 0
            return self.ids[part, described["name"]]
        key = json.dumps(described, sort_keys=True)
        if key not in self.made:
            if kind == "function":
                self.made[key] = self.out.function()
            elif kind == "pointer":
                self.made[key] = self.out.reference(Kind.PTR, self._type(described["subtype"], depth + 1))
            elif kind == "array":
                element = self._type(described["subtype"], depth + 1)
                self.made[key] = self.out.array(element, _whole(described["count"], (1 << 32) - 1))
            else:
                raise ValueError(f"kind '{kind}'")
        return self.made[key]


def _plain(name: str) -> str:
    """Without the marks of what had no name, or shared one."""
    return "" if name.startswith("unnamed_") else name.partition("@")[0]


def _whole(value: Any, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise ValueError(f"{number} is out of range")
    return number
