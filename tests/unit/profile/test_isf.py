"""BTF → ISF: each kind of type, names that are missing or shared, bit fields."""

from __future__ import annotations

import struct

import pytest

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.btf import Btf, Kind
from tinyvmi_build.profile.isf_types import isf_types


class Writer:
    """.BTF from Documentation/bpf/btf.rst; each method gives the id of its type."""

    def __init__(self) -> None:
        self.types: list[bytes] = []
        self.strings = b"\0"

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, kind: Kind, name: str, size: int, vlen: int = 0, flag: int = 0, rest: bytes = b"") -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types.append(struct.pack("<III", self.name(name), info, size) + rest)
        return len(self.types)

    def int(self, name: str, size: int, encoding: int = 0) -> int:
        return self.add(Kind.INT, name, size, rest=struct.pack("<I", encoding << 24 | size * 8))

    def compound(self, kind: Kind, name: str, size: int, members: list[tuple[str, int, int, int]]) -> int:
        rest = b"".join(struct.pack("<III", self.name(n), t, bits << 24 | at) for n, t, at, bits in members)
        return self.add(kind, name, size, len(members), 1, rest)

    def btf(self) -> Btf:
        types = b"".join(self.types)
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(self.strings))
        return Btf(head + types + self.strings, "test")


def test_each_kind() -> None:
    w = Writer()
    number = w.int("int", 4, 1)
    char = w.int("char", 1)
    boolean = w.int("_Bool", 1, 4)
    array = w.add(Kind.ARRAY, "", 0, rest=struct.pack("<III", char, number, 16))
    colour = w.add(Kind.ENUM, "colour", 4, 2, rest=struct.pack("<IiIi", w.name("RED"), 0, w.name("BLUE"), 7))
    proto = w.add(Kind.FUNC_PROTO, "", 0)
    call = w.add(Kind.PTR, "", proto)
    void = w.add(Kind.PTR, "", w.add(Kind.CONST, "", 0))
    only_named = w.add(Kind.PTR, "", w.add(Kind.FWD, "unseen", 0))
    members = [("a", number, 0, 0), ("text", array, 32, 0), ("c", colour, 160, 0), ("call", call, 192, 0)]
    members += [("any", void, 256, 0), ("unseen", only_named, 320, 0), ("flag", boolean, 384, 0)]
    w.compound(Kind.STRUCT, "all", 56, members)
    types = isf_types(w.btf())
    fields = types.user_types["all"]["fields"]
    assert types.user_types["all"]["size"] == 56
    assert fields["a"] == {"offset": 0, "type": {"kind": "base", "name": "int"}}
    assert fields["text"]["type"] == {
        "kind": "array",
        "count": 16,
        "subtype": {"kind": "base", "name": "char"},
    }
    assert fields["c"] == {"offset": 20, "type": {"kind": "enum", "name": "colour"}}
    assert fields["call"]["type"] == {"kind": "pointer", "subtype": {"kind": "function"}}
    assert fields["any"]["type"] == {"kind": "pointer", "subtype": {"kind": "base", "name": "void"}}
    assert fields["unseen"]["type"]["subtype"] == {"kind": "struct", "name": "unseen"}
    assert types.user_types["unseen"] == {"kind": "struct", "size": 0, "fields": {}}
    assert types.enums["colour"]["base"] == "unsigned int32"  # the only integer of that size is signed
    constants = {"RED": 0, "BLUE": 7}
    assert types.enums["colour"]["constants"] == constants and types.enums["colour"]["size"] == 4
    assert types.base_types["int"] == {"size": 4, "signed": True, "kind": "int", "endian": "little"}
    assert types.base_types["char"]["kind"] == "char" and types.base_types["_Bool"]["kind"] == "bool"


def test_bit_fields_lie_in_units_of_their_type() -> None:
    w = Writer()
    word = w.int("unsigned int", 4)
    w.compound(Kind.STRUCT, "s", 8, [("x", word, 3, 5), ("y", word, 40, 8), ("z", word, 30, 4)])
    fields = isf_types(w.btf()).user_types["s"]["fields"]
    where = {n: (f["offset"], f["type"]["bit_position"], f["type"]["bit_length"]) for n, f in fields.items()}
    assert where == {"x": (0, 3, 5), "y": (4, 8, 8), "z": (3, 6, 4)}  # z crosses: it is packed


def test_names() -> None:
    """What only a typedef names goes by that; two alike differ in name; members without names are marked."""
    w = Writer()
    word = w.int("int", 4, 1)
    counter = w.compound(Kind.STRUCT, "", 4, [("counter", word, 0, 0)])
    w.add(Kind.TYPEDEF, "atomic_t", counter)
    inner = w.compound(Kind.UNION, "", 4, [("p", word, 0, 0), ("q", word, 0, 0)])
    first = w.compound(Kind.STRUCT, "same", 8, [("", inner, 0, 0), ("", inner, 0, 0), ("n", counter, 32, 0)])
    second = w.compound(Kind.STRUCT, "same", 4, [("m", word, 0, 0)])
    w.compound(Kind.STRUCT, "user", 12, [("f", first, 0, 0), ("s", second, 64, 0)])
    types = isf_types(w.btf()).user_types
    assert types["same"]["fields"]["n"]["type"] == {"kind": "struct", "name": "atomic_t"}
    assert types["same"]["fields"]["unnamed_field_0"]["anonymous"] is True
    assert types["same"]["fields"]["unnamed_field_0_"]["type"]["name"] == f"unnamed_{inner}"
    assert types["user"]["fields"]["s"]["type"]["name"] == f"same@{second}"
    assert list(types[f"same@{second}"]["fields"]) == ["m"]


def test_pointers_in_circles_end() -> None:
    w = Writer()
    w.add(Kind.PTR, "", 1)
    w.compound(Kind.STRUCT, "s", 8, [("p", 1, 0, 0)])
    with pytest.raises(UsageError, match="circles"):
        isf_types(w.btf())
