"""BTF: the kernel's types, for structure offsets and enumeration values.

Source: Documentation/bpf/btf.rst, include/uapi/linux/btf.h.  The types are
indexed on first use; all offsets and sizes are in bytes unless named bits.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.missing import MissingFactError

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_MAGIC = 0xEB9F
_MAX_DEPTH = 32  # of typedefs and arrays: C allows more, no kernel does it


class Kind(IntEnum):
    """BTF_KIND_*."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


# Bytes behind struct btf_type: a fixed part, and one per vlen.
_FIXED = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
_EACH = {Kind.STRUCT: 12, Kind.UNION: 12, Kind.ENUM: 8, Kind.FUNC_PROTO: 8, Kind.DATASEC: 12, Kind.ENUM64: 12}
_MODIFIERS = {Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG}
_NAMED = {Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.TYPEDEF, Kind.FLOAT}


@dataclass(frozen=True)
class Member:
    """Where a member begins, the BTF id of its type, and its `bits`: 0 unless it is a bit field."""

    bit_offset: int
    type_id: int
    bits: int


class Btf:
    """The types in `data`, the bytes of a `.BTF` section.  Raises UsageError if they are damaged."""

    def __init__(self, data: bytes, where: str):
        self.data = data
        self.where = where
        if len(data) < _HEADER.size:
            raise self._bad("its header is cut short")
        magic, version, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise self._bad("its magic or version is unknown")
        self._types = header + type_off
        self._types_end = self._types + type_len
        self._strings = header + str_off
        self._strings_end = self._strings + str_len
        if max(self._types_end, self._strings_end) > len(data):
            raise self._bad("it is truncated")

    def _bad(self, what: str) -> UsageError:
        return UsageError(
            f"{self.where}: the kernel's BTF is damaged: {what}", hint="fetch the package again"
        )

    def _string(self, offset: int) -> str:
        start = self._strings + offset
        stop = self.data.find(b"\0", start, self._strings_end)
        if stop < 0:
            raise self._bad("a name lies outside its strings")
        return self.data[start:stop].decode("ascii", "backslashreplace")

    @cached_property
    def _starts(self) -> array[int]:
        """Offset of each type by its id; id 0 is void."""
        starts = array("I", [0])
        extra = {(kind << 24): (_FIXED.get(kind, 0), _EACH.get(kind, 0)) for kind in Kind}
        unpack = struct.Struct("<I").unpack_from
        data, at, end = self.data, self._types, self._types_end
        while at < end:
            if at + 12 > end:
                raise self._bad("a type is cut short")
            starts.append(at)
            info = unpack(data, at + 4)[0]
            try:
                fixed, each = extra[info & 0x1F000000]
            except KeyError:
                raise self._bad(f"type {len(starts) - 1} is of unknown kind {info >> 24 & 31}") from None
            at += 12 + fixed + each * (info & 0xFFFF)
        if at != end:
            raise self._bad("a type is cut short")
        return starts

    def __len__(self) -> int:
        """Number of types, void not counted."""
        return len(self._starts) - 1

    def _type(self, type_id: int) -> tuple[Kind, int, int, int]:
        """(kind, vlen, size or referenced type, offset of what follows)."""
        if not 0 < type_id < len(self._starts):
            raise self._bad(f"there is no type {type_id}")
        start = self._starts[type_id]
        _, info, size_or_type = _TYPE.unpack_from(self.data, start)
        return Kind(info >> 24 & 31), info & 0xFFFF, size_or_type, start + _TYPE.size

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        named = {kind << 24 for kind in _NAMED}
        unpack = struct.Struct("<II").unpack_from
        for type_id in range(1, len(self._starts)):
            name, info = unpack(self.data, self._starts[type_id])
            if name and info & 0x1F000000 in named:
                found.setdefault(self._string(name), []).append(type_id)
        return found

    def _find(self, name: str) -> int:
        """The id of a type by its C name, with or without `struct`, `union` or `enum`."""
        keyword, _, rest = name.rpartition(" ")
        kinds = {
            "struct": {Kind.STRUCT},
            "union": {Kind.UNION},
            "enum": {Kind.ENUM, Kind.ENUM64},
            "": _NAMED,
        }.get(keyword, set())
        candidates = [i for i in self._ids.get(rest, []) if self._type(i)[0] in kinds]
        if not candidates:
            raise MissingFactError(f"{self.where}: the kernel's BTF has no type '{name}'")
        # A tag and a typedef may share a name; the tag is meant.
        return min(candidates, key=lambda i: (self._type(i)[0] == Kind.TYPEDEF, i))

    def _bare(self, type_id: int) -> int:
        """The type behind typedefs and qualifiers."""
        for _ in range(_MAX_DEPTH):
            kind, _, target, _ = self._type(type_id)
            if kind not in _MODIFIERS:
                return type_id
            type_id = target
        raise self._bad("typedefs go in circles")

    def _members(self, type_id: int) -> list[tuple[str, Member]]:
        kind, vlen, _, at = self._type(type_id)
        if kind not in (Kind.STRUCT, Kind.UNION):
            return []
        has_bits = self.data[self._starts[type_id] + 7] & 0x80  # kind_flag
        found = []
        for i in range(vlen):
            name, target, offset = _MEMBER.unpack_from(self.data, at + i * _MEMBER.size)
            bits = offset >> 24 if has_bits else 0
            found.append(
                (self._string(name), Member(offset & 0xFFFFFF if has_bits else offset, target, bits))
            )
        return found

    def _member(self, type_id: int, name: str, seen: set[int]) -> Member | None:
        """Member `name` of a structure, also of an anonymous one inside; `seen` were searched before."""
        type_id = self._bare(type_id)
        if type_id in seen:
            return None
        seen.add(type_id)
        members = self._members(type_id)
        for found, member in members:
            if found == name:
                return member
        for found, member in members:
            if not found:
                inner = self._member(member.type_id, name, seen)
                if inner:
                    return Member(member.bit_offset + inner.bit_offset, inner.type_id, inner.bits)
        return None

    def member(self, type_name: str, path: str) -> Member:
        """The member at `path` ("a.b.c") of `type_name`; MissingFactError naming what is missing."""
        type_id = self._find(type_name)
        offset = 0
        member = Member(0, type_id, 0)
        for name in path.split("."):
            found = self._member(member.type_id, name, set())
            if found is None:
                raise MissingFactError(
                    f"{self.where}: '{type_name}' has no member '{path}' in the kernel's BTF"
                )
            offset += found.bit_offset
            member = found
        return Member(offset, member.type_id, member.bits)

    def has_type(self, type_name: str) -> bool:
        try:
            self._find(type_name)
        except MissingFactError:
            return False
        return True

    def has_member(self, type_name: str, path: str) -> bool:
        try:
            self.member(type_name, path)
        except MissingFactError:
            return False
        return True

    def offset(self, type_name: str, path: str) -> int:
        """Offset in bytes of the member at `path`; UsageError for a bit field."""
        member = self.member(type_name, path)
        if member.bit_offset % 8 or member.bits:
            raise UsageError(f"{self.where}: '{type_name}.{path}' is a bit field and has no offset in bytes")
        return member.bit_offset // 8

    def sizeof(self, type_name: str, path: str | None = None) -> int:
        """Size in bytes of a type, or of the member at `path` in it."""
        return self._size(self.member(type_name, path).type_id if path else self._find(type_name))

    def _size(self, type_id: int) -> int:
        factor = 1
        for _ in range(_MAX_DEPTH):
            type_id = self._bare(type_id)
            kind, _, size, at = self._type(type_id)
            if kind == Kind.PTR:
                return factor * 8
            if kind in (Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT):
                return factor * size
            if kind != Kind.ARRAY:
                raise UsageError(f"{self.where}: a {kind.name.lower()} has no size in the kernel's BTF")
            type_id, _, count = struct.unpack_from("<III", self.data, at)
            factor *= count
        raise self._bad("arrays go in circles")

    def array_length(self, type_name: str, path: str) -> int:
        """Number of elements of the array at `path`."""
        type_id = self._bare(self.member(type_name, path).type_id)
        kind, _, _, at = self._type(type_id)
        if kind != Kind.ARRAY:
            raise UsageError(f"{self.where}: '{type_name}.{path}' is no array in the kernel's BTF")
        return int(struct.unpack_from("<I", self.data, at + 8)[0])

    def enum(self, type_name: str) -> dict[str, int]:
        """The enumerators of `type_name` and their values."""
        return self._enumerators(self._bare(self._find(type_name)))

    def _enumerators(self, type_id: int) -> dict[str, int]:
        kind, vlen, _, at = self._type(type_id)
        signed = bool(self.data[self._starts[type_id] + 7] & 0x80)
        values = {}
        for i in range(vlen):
            if kind == Kind.ENUM:
                name, value = struct.unpack_from("<Ii" if signed else "<II", self.data, at + i * 8)
            elif kind == Kind.ENUM64:
                name, low, high = struct.unpack_from("<III", self.data, at + i * 12)
                value = high << 32 | low
                if signed and value >> 63:
                    value -= 1 << 64
            else:
                raise UsageError(f"{self.where}: not an enumeration in the kernel's BTF")
            values[self._string(name)] = value
        return values

    def enum_value(self, type_name: str, enumerator: str) -> int:
        """Value of one enumerator, as of `system_states`, `SYSTEM_RUNNING`; MissingFactError without it."""
        try:
            return self.enum(type_name)[enumerator]
        except KeyError:
            raise MissingFactError(
                f"{self.where}: '{type_name}' has no {enumerator} in the kernel's BTF"
            ) from None

    def enumerator(self, name: str) -> int:
        """Value of an enumerator of any enumeration, named or not; MissingFactError if there is none."""
        try:
            return self._all_enumerators[name]
        except KeyError:
            raise MissingFactError(f"{self.where}: the kernel's BTF has no enumerator {name}") from None

    @cached_property
    def _all_enumerators(self) -> dict[str, int]:
        kinds = {Kind.ENUM << 24, Kind.ENUM64 << 24}
        unpack = struct.Struct("<I").unpack_from
        found: dict[str, int] = {}
        for type_id in range(1, len(self._starts)):
            if unpack(self.data, self._starts[type_id] + 4)[0] & 0x1F000000 in kinds:
                found |= self._enumerators(type_id)
        return found

    @cached_property
    def prototypes(self) -> dict[str, tuple[int, ...]]:
        """Function's name → ids of its return type and parameters' types, equal for equal prototypes.

        Without functions of which several share a name and differ in type.
        """
        found: dict[str, tuple[int, ...]] = {}
        several: set[str] = set()
        for type_id in range(1, len(self._starts)):
            kind, _, prototype, _ = self._type(type_id)
            if kind != Kind.FUNC:
                continue
            name = self._string(struct.unpack_from("<I", self.data, self._starts[type_id])[0])
            kind, vlen, returned, at = self._type(prototype)
            if kind != Kind.FUNC_PROTO:
                continue
            types = (returned, *(struct.unpack_from("<II", self.data, at + 8 * i)[1] for i in range(vlen)))
            if found.setdefault(name, types) != types:
                several.add(name)
        return {name: types for name, types in found.items() if name not in several}
