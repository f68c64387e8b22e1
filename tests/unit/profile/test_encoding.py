"""Dataclasses in a profile: what is stored comes back, and anything else is one clear error."""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass

import pytest

from tests.unit.checks import small_boot, small_modules, small_text
from tinyvmi_build.checks import registry
from tinyvmi_build.checks.modules.module import ModuleGolden
from tinyvmi_build.profile.container import VERSION
from tinyvmi_build.profile.encoding import Blob, DecodeError, U8s, U16s, U32s, decode, encode, pack, unpack


@dataclass(frozen=True)
class Inner:
    number: int
    code: bytes
    table: U16s


@dataclass(frozen=True)
class Outer:
    text: str
    inner: tuple[Inner, ...]
    maybe: Inner | None
    names: dict[str, int]
    row: tuple[int, bool, tuple[str, ...]]
    empty: Blob
    more: U32s


VALUE = Outer(
    text="text",
    inner=(Inner(1, b"\xc3", U16s.of([1, 2, 0x10003])), Inner(2, b"", U16s.of([]))),
    maybe=None,
    names={"a": 1},
    row=(7, True, ("x", "y")),
    empty=Blob(b""),
    more=U32s.of([-1]),
)


def again(stored: object) -> Outer:
    _, blobs = encode(VALUE)
    return decode(Outer, stored, lambda path: lambda: blobs[path].data)


def stored() -> typing.Any:
    return json.loads(json.dumps(encode(VALUE)[0]))


@pytest.mark.parametrize(
    "value",
    [VALUE, small_text.golden(), *small_boot.golden(), small_modules.golden(), small_modules.module()],
)
def test_what_is_packed_comes_back(value: object) -> None:
    assert unpack(type(value), pack(value)) == value


def test_tables_are_numbers_modulo_their_size() -> None:
    assert list(VALUE.inner[0].table) == [1, 2, 3] and list(VALUE.more) == [0xFFFFFFFF]
    assert (len(VALUE.inner[0].table), len(U8s(b"ab")), U8s.C_TYPE) == (3, 2, "uint8_t")
    assert U16s(b"ab") != U8s(b"ab")


def test_nothing_is_read_before_it_is_asked_for() -> None:
    read: list[str] = []

    def load(path: str) -> typing.Callable[[], bytes]:
        def get() -> bytes:
            read.append(path)
            return encode(VALUE)[1][path].data

        return get

    found = decode(Outer, stored(), load)
    assert not read and found.more.data == VALUE.more.data and read == ["more"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("text",), 1, "text: is not str"),
        (("inner",), {}, "inner: is not a list"),
        (("inner", 0, "number"), True, r"inner\[0\].number: is not int"),
        (("inner", 0, "code"), "xyz", r"inner\[0\].code: is not hexadecimal"),
        (("inner", 1), {"number": 1, "code": ""}, r"inner\[1\].table: is missing"),
        (("maybe",), {"number": 1, "code": "", "table": 0, "odd": 1}, "maybe.odd: is not known"),
        (("names", "a"), "1", "names.a: is not int"),
        (("row",), [1, True], "row: is not a list of 3"),
        (("row", 2, 1), None, r"row\[2\]\[1\]: is not str"),
        (("empty",), "", "empty: is not the size of a table"),
    ],
)
def test_what_is_not_of_its_type_is_named(path: tuple[str | int, ...], value: object, message: str) -> None:
    damaged = stored()
    *way, last = path
    at = damaged
    for step in way:
        at = at[step]
    at[last] = value
    with pytest.raises(DecodeError, match=f"^{message}$"):
        again(damaged)


def test_a_table_of_another_size_is_named() -> None:
    damaged = stored() | {"more": 8}
    with pytest.raises(DecodeError, match="more: has 4 bytes and not 8"):
        list(again(damaged).more)


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff", b"\2\0\0\0[]", b"\2\0\0\0{}", pack(VALUE)[:-300]])
def test_a_damaged_module_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(ModuleGolden, data)


def fields(kind: typing.Any, seen: dict[str, list[str]]) -> None:
    """Every dataclass that a type consists of, with the types of its fields."""
    if dataclasses.is_dataclass(kind) and kind.__name__ not in seen:
        hints = typing.get_type_hints(kind)
        seen[kind.__name__] = [f"{f.name}: {f.type}" for f in dataclasses.fields(kind)]
        for field in dataclasses.fields(kind):
            fields(hints[field.name], seen)
    for argument in typing.get_args(kind):
        fields(argument, seen)


def test_a_change_of_what_is_stored_is_a_new_version(golden: typing.Callable[[str, str], None]) -> None:
    """If this text changes, raise VERSION in profile/container.py: an older profile must be refused."""
    seen: dict[str, list[str]] = {}
    for check in registry.checks():
        fields(check.golden, seen)
    fields(ModuleGolden, seen)
    lines = [f"version {VERSION}"]
    for name in sorted(seen):
        lines += ["", name, *(f"  {field}" for field in seen[name])]
    golden("profile/stored.txt", "".join(f"{line}\n" for line in lines))
