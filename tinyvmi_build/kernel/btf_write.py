"""Types from elsewhere (DWARF, ISF) in BTF's form, so that one reader serves all.

Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from tinyvmi_build.kernel.btf import Kind

_MAX_VLEN = 0xFFFF
_SIGNED = 1  # BTF_INT_SIGNED


@dataclass(frozen=True)
class Field:
    """A member: `bits` is 0 unless it is a bit field; a member without a name is an anonymous structure."""

    name: str
    type_id: int
    bit_offset: int
    bits: int = 0


class BtfWriter:
    """Types by id.  `reserve()` gives the id of a type that others may name before it is defined."""

    def __init__(self) -> None:
        self._types: list[bytes] = []
        self._strings = bytearray(b"\0")
        self._known: dict[str, int] = {"": 0}

    def reserve(self) -> int:
        """The id of a type still to be defined; until then it is a structure nobody has seen."""
        self._types.append(struct.pack("<III", 0, Kind.FWD << 24, 0))
        return len(self._types)

    def _name(self, text: str) -> int:
        at = self._known.get(text)
        if at is None:
            at = self._known[text] = len(self._strings)
            self._strings += text.encode("ascii", "backslashreplace") + b"\0"
        return at

    def _define(
        self, at: int | None, kind: Kind, name: str, value: int, *, count_and_flag: int = 0, tail: bytes = b""
    ) -> int:
        """The type `at`, or a new one; `count_and_flag` is what `_info` gives."""
        at = at or self.reserve()
        info = kind << 24 | count_and_flag
        self._types[at - 1] = struct.pack("<III", self._name(name), info, value & 0xFFFFFFFF) + tail
        return at

    def integer(self, name: str, size: int, signed: bool, at: int | None = None) -> int:
        tail = struct.pack("<I", (_SIGNED if signed else 0) << 24 | size * 8 & 0xFF)
        return self._define(at, Kind.INT, name, size, tail=tail)

    def floating(self, name: str, size: int, at: int | None = None) -> int:
        return self._define(at, Kind.FLOAT, name, size)

    def reference(self, kind: Kind, target: int, name: str = "", at: int | None = None) -> int:
        """A pointer, a typedef or a qualifier of type `target`."""
        return self._define(at, kind, name, target)

    def function(self, at: int | None = None) -> int:
        """A function of which nothing is known but that it is one."""
        return self._define(at, Kind.FUNC_PROTO, "", 0)

    def array(self, element: int, count: int, at: int | None = None) -> int:
        tail = struct.pack("<III", element, element, min(count, 0xFFFFFFFF))
        return self._define(at, Kind.ARRAY, "", 0, tail=tail)

    def compound(
        self, union: bool, name: str, size: int, fields: Sequence[Field], at: int | None = None
    ) -> int:
        fields = fields[:_MAX_VLEN]
        # Offsets share their word with the bit fields' widths only where there are some.
        flag = any(f.bits for f in fields)
        tail = b"".join(
            struct.pack("<III", self._name(f.name), f.type_id, f.bits << 24 | f.bit_offset) for f in fields
        )
        return self._define(
            at,
            Kind.UNION if union else Kind.STRUCT,
            name,
            size,
            count_and_flag=_info(len(fields), flag),
            tail=tail,
        )

    def enum(
        self, name: str, size: int, signed: bool, constants: dict[str, int], at: int | None = None
    ) -> int:
        items = list(constants.items())[:_MAX_VLEN]
        if all(-(1 << 31) <= v < 1 << 32 for _, v in items):
            tail = b"".join(struct.pack("<II", self._name(n), v & 0xFFFFFFFF) for n, v in items)
            return self._define(
                at, Kind.ENUM, name, size, count_and_flag=_info(len(items), signed), tail=tail
            )
        tail = b"".join(
            struct.pack("<III", self._name(n), v & 0xFFFFFFFF, v >> 32 & 0xFFFFFFFF) for n, v in items
        )
        return self._define(at, Kind.ENUM64, name, size, count_and_flag=_info(len(items), signed), tail=tail)

    def data(self) -> bytes:
        """The .BTF section."""
        types = b"".join(self._types)
        sizes = (24, 0, len(types), len(types), len(self._strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, *sizes) + types + self._strings


def _info(count: int, flag: bool) -> int:
    """Of `info` in struct btf_type: vlen and kind_flag."""
    return flag << 31 | count
