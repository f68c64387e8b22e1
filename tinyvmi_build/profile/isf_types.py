"""BTF → the types of an ISF (Volatility 3's symbol table, schema 6.2.0).

ISF knows base types, structures, unions and enumerations by name, and
describes everything else where it is used.  It has no typedefs: what has only
a typedef's name goes by that, and what has none by `unnamed_N`, N its BTF id.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tinyvmi_build.kernel.btf import _MAX_DEPTH, _MODIFIERS, Btf, Kind, Member

Descriptor = dict[str, object]

VOID: Descriptor = {"kind": "base", "name": "void"}
_FUNCTION: Descriptor = {"kind": "function"}
_SIGNED = 1  # BTF_INT_SIGNED
_COMPOUND = (Kind.STRUCT, Kind.UNION)
_ENUMS = (Kind.ENUM, Kind.ENUM64)
_WORD = {Kind.STRUCT: "struct", Kind.UNION: "union", Kind.ENUM: "enum", Kind.ENUM64: "enum"}


@dataclass
class IsfTypes:
    """The three dictionaries of an ISF; `variables`: descriptors of those that BTF has (per-CPU ones)."""

    base_types: dict[str, Descriptor] = field(default_factory=dict)
    user_types: dict[str, Descriptor] = field(default_factory=dict)
    enums: dict[str, Descriptor] = field(default_factory=dict)
    variables: dict[str, Descriptor] = field(default_factory=dict)


def base_type(size: int, signed: bool, kind: str) -> Descriptor:
    return {"size": size, "signed": signed, "kind": kind, "endian": "little"}


def isf_types(btf: Btf) -> IsfTypes:
    """All types of `btf`; UsageError if it is damaged."""
    return _Converter(btf.data, btf.where).convert()


class _Converter(Btf):
    def convert(self) -> IsfTypes:
        types = IsfTypes()
        types.base_types["void"] = base_type(0, False, "void")
        types.base_types["pointer"] = base_type(8, False, "int")
        self._described: dict[int, Descriptor] = {}
        self._integers: dict[tuple[int, bool], str] = {}
        kinds = [self._type(i)[0] for i in range(1, len(self) + 1)]
        for type_id, kind in enumerate(kinds, 1):
            if kind in (Kind.INT, Kind.FLOAT):
                self._base(types, type_id, kind)
        self._name(kinds)
        for type_id, kind in enumerate(kinds, 1):
            if kind in _COMPOUND:
                types.user_types[self._names[type_id]] = self._compound(type_id, kind)
            elif kind in _ENUMS:
                types.enums[self._names[type_id]] = self._enum(types, type_id)
            elif kind == Kind.VAR:
                types.variables[self._own_name(type_id)] = self._describe(self._type(type_id)[2])
        for type_id, kind in enumerate(kinds, 1):
            if kind == Kind.FWD:  # a structure that is only pointed to
                word = self._describe(type_id)["kind"]
                empty: Descriptor = {"kind": word, "size": 0, "fields": {}}
                types.user_types.setdefault(self._own_name(type_id), empty)
        return types

    def _own_name(self, type_id: int) -> str:
        offset = struct.unpack_from("<I", self.data, self._starts[type_id])[0]
        return self._string(offset) if offset else ""

    def _name(self, kinds: list[Kind]) -> None:
        """A name for each compound and enumeration, of its own; the first of several alike keeps its name."""
        self._names: dict[int, str] = {}
        taken: set[tuple[bool, str]] = set()

        def give(type_id: int, kind: Kind, name: str) -> None:
            space = kind in _ENUMS
            if (space, name) in taken:
                name = f"{name}@{type_id}"
            taken.add((space, name))
            self._names[type_id] = name

        nameless = set()
        for type_id, kind in enumerate(kinds, 1):
            if kind in _WORD:
                if name := self._own_name(type_id):
                    give(type_id, kind, name)
                else:
                    nameless.add(type_id)
        for type_id, kind in enumerate(kinds, 1):
            target = self._type(type_id)[2] if kind == Kind.TYPEDEF else 0
            if target in nameless:
                nameless.discard(target)
                give(target, kinds[target - 1], self._own_name(type_id))
        for type_id in sorted(nameless):
            give(type_id, kinds[type_id - 1], f"unnamed_{type_id}")

    def _base(self, types: IsfTypes, type_id: int, kind: Kind) -> None:
        _, _, size, at = self._type(type_id)
        name = self._own_name(type_id)
        signed, what = True, "float"
        if kind == Kind.INT:
            signed = bool(struct.unpack_from("<I", self.data, at)[0] >> 24 & _SIGNED)
            # As DWARF's encodings have them; BTF's own bits for it are not set by all that write it.
            what = "bool" if name == "_Bool" else "char" if name.rpartition(" ")[2] == "char" else "int"
            if what == "int":
                self._integers.setdefault((size, signed), name)
        types.base_types.setdefault(name, base_type(size, signed, what))

    def _enum(self, types: IsfTypes, type_id: int) -> Descriptor:
        size = self._type(type_id)[2]
        signed = bool(self.data[self._starts[type_id] + 7] & 0x80)
        base = self._integers.get((size, signed))
        if base is None:
            base = f"{'' if signed else 'unsigned '}int{8 * size}"
            types.base_types[base] = base_type(size, signed, "int")
        return {"size": size, "base": base, "constants": self._enumerators(type_id)}

    def _compound(self, type_id: int, kind: Kind) -> Descriptor:
        fields: dict[str, Descriptor] = {}
        for name, member in self._members(type_id):
            offset, described = member.bit_offset // 8, self._describe(member.type_id)
            if member.bits:
                offset, described = self._bit_field(member)
            entry: Descriptor = {"type": described, "offset": offset}
            if not name:
                name = f"unnamed_field_{offset:x}"
                while name in fields:
                    name += "_"
                entry["anonymous"] = True
            fields[name] = entry
        return {"kind": _WORD[kind], "size": self._type(type_id)[2], "fields": fields}

    def _bit_field(self, member: Member) -> tuple[int, Descriptor]:
        """At the aligned unit of its type that holds it all, else (packed) at its first byte."""
        unit = self._size(member.type_id)
        offset = member.bit_offset // (8 * unit) * unit
        if member.bit_offset + member.bits > 8 * (offset + unit):
            offset = member.bit_offset // 8
        described: Descriptor = {
            "kind": "bitfield",
            "bit_position": member.bit_offset - 8 * offset,
            "bit_length": member.bits,
            "type": self._describe(member.type_id),
        }
        return offset, described

    def _describe(self, type_id: int, depth: int = 0) -> Descriptor:
        found = self._described.get(type_id)
        if found is None:
            if depth > _MAX_DEPTH:
                raise self._bad("pointers go in circles")
            found = self._described[type_id] = self._new_description(type_id, depth + 1)
        return found

    def _new_description(self, type_id: int, depth: int) -> Descriptor:
        if type_id == 0:
            return VOID
        kind, _, target, at = self._type(type_id)
        if kind in _MODIFIERS:
            return self._describe(target, depth)
        if kind in (Kind.INT, Kind.FLOAT):
            return {"kind": "base", "name": self._own_name(type_id)}
        if kind == Kind.PTR:
            return {"kind": "pointer", "subtype": self._describe(target, depth)}
        if kind == Kind.ARRAY:
            element, _, count = struct.unpack_from("<III", self.data, at)
            return {"kind": "array", "count": count, "subtype": self._describe(element, depth)}
        if kind in _WORD:
            return {"kind": _WORD[kind], "name": self._names[type_id]}
        if kind == Kind.FWD:
            union = self.data[self._starts[type_id] + 7] & 0x80  # kind_flag
            return {"kind": "union" if union else "struct", "name": self._own_name(type_id)}
        if kind in (Kind.FUNC, Kind.FUNC_PROTO):
            return _FUNCTION
        raise self._bad(f"a {kind.name.lower()} is no type of a member")
