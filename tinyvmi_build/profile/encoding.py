"""Dataclasses as a profile stores them: JSON, and tables of bytes or numbers in sections of their own.

A field is a number, text, a truth value, bytes (hexadecimal in JSON), another dataclass, one of these or
None, a tuple or a dict of them, or a `Blob`: that is a section by itself, unpacked when it is first read.
Decoding is strict: a field that is not known, missing, or of another type is one DecodeError that names it.
What changes a dataclass changes VERSION of `container`, so that no profile of another tool is decoded.
Standard library alone: a dom0 reads profiles.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
import types
import typing
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar, TypeVar, cast

from tinyvmi_build.errors import UsageError

T = TypeVar("T")
Load = Callable[[], bytes]


class DecodeError(UsageError):
    """What is stored does not have the form of the dataclass; the message begins with the field's path."""

    def __init__(self, message: str):
        super().__init__(message, hint="build the profile again")


class Blob:
    """Bytes in a section of their own."""

    __slots__ = ("_data", "_load")

    def __init__(self, data: bytes | Load):
        self._data: bytes | None = None if callable(data) else bytes(data)
        self._load: Load | None = data if callable(data) else None

    @property
    def data(self) -> bytes:
        """The bytes; what is stored is unpacked once."""
        if self._data is None:
            assert self._load is not None
            self._data = self._load()
        return self._data

    def rows(self, size: int) -> list[bytes]:
        """The bytes in pieces of `size`."""
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and type(other) is type(self) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'not read' if self._data is None else f'{len(self._data)} bytes'})"


class Numbers(Blob):
    """Unsigned little-endian numbers of one size."""

    __slots__ = ()
    CODE: ClassVar[str]  # of `array` and `struct`
    C_TYPE: ClassVar[str]

    @classmethod
    def of(cls, values: typing.Iterable[int]) -> typing.Self:
        """The numbers, modulo their size."""
        limit = (1 << 8 * struct.calcsize(cls.CODE)) - 1
        numbers = array(cls.CODE, [value & limit for value in values])
        if sys.byteorder == "big":
            numbers.byteswap()
        return cls(numbers.tobytes())

    @property
    def values(self) -> array[int]:
        numbers = array(self.CODE, self.data)
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    def __len__(self) -> int:
        return len(self.data) // struct.calcsize(self.CODE)

    def __iter__(self) -> Iterator[int]:
        return iter(self.values)


class U8s(Numbers):
    __slots__ = ()
    CODE, C_TYPE = "B", "uint8_t"


class U16s(Numbers):
    __slots__ = ()
    CODE, C_TYPE = "H", "uint16_t"


class U32s(Numbers):
    __slots__ = ()
    CODE, C_TYPE = "I", "uint32_t"


def encode(value: object) -> tuple[object, dict[str, Blob]]:
    """A dataclass as JSON, and its blobs by the path of their fields; JSON has a blob's size in bytes."""
    blobs: dict[str, Blob] = {}
    return _encode(value, "", blobs), blobs


def _encode(value: object, path: str, blobs: dict[str, Blob]) -> object:
    if isinstance(value, Blob):
        blobs[path] = value
        return len(value.data)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _encode(getattr(value, field.name), _below(path, field.name), blobs)
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_encode(item, f"{path}[{i}]", blobs) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: _encode(item, _below(path, name), blobs) for name, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    assert value is None or type(value) in (int, str, bool), f"{path}: {type(value)} has no encoding"
    return value


def decode(kind: type[T], stored: object, load: Callable[[str], Load]) -> T:
    """The dataclass `kind` from what `encode` made of one; `load(path)` gives what loads a blob."""
    return cast(T, _decoder(cast(Any, kind))(stored, "", load))


def pack(value: object) -> bytes:
    """A dataclass as one sequence of bytes: u32 size of a JSON header, the header, the blobs."""
    stored, blobs = encode(value)
    positions, at = {}, 0
    for path, blob in blobs.items():
        positions[path] = [at, len(blob.data)]
        at += len(blob.data)
    header = json.dumps(
        {"values": stored, "blobs": positions}, sort_keys=True, separators=(",", ":")
    ).encode()
    return struct.pack("<I", len(header)) + header + b"".join(blob.data for blob in blobs.values())


def unpack(kind: type[T], data: bytes) -> T:
    """What `pack` was given."""
    try:
        (size,) = struct.unpack_from("<I", data)
        header = json.loads(data[4 : 4 + size])
        body = 4 + size
        positions = {
            path: slice(body + at, body + at + length) for path, (at, length) in header["blobs"].items()
        }
        stored = header["values"]
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise DecodeError("its header is damaged") from None

    def load(path: str) -> Load:
        if path not in positions:
            raise DecodeError(f"{path}: is missing")
        return lambda: data[positions[path]]

    return decode(kind, stored, load)


Decoder = Callable[[object, str, Callable[[str], Load]], object]


@cache
def _decoder(kind: Any) -> Decoder:
    """What decodes a value of the type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (int, str, bool):
        return _plain(kind)
    if kind is bytes:
        return _hexadecimal
    if isinstance(kind, type) and issubclass(kind, Blob):
        return _blob(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if origin in (typing.Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _optional(inner)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _sequence(arguments[0])
    if origin is tuple:
        return _row(arguments)
    if origin is dict and arguments[0] is str:
        return _mapping(arguments[1])
    raise TypeError(f"{kind} has no encoding")


def _plain(kind: type[Any]) -> Decoder:
    def plain(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if type(stored) is not kind:
            raise _wrong(path, kind.__name__)
        return stored

    return plain


def _hexadecimal(stored: object, path: str, load: Callable[[str], Load]) -> object:
    try:
        return bytes.fromhex(cast(str, stored))
    except (TypeError, ValueError):
        raise _wrong(path, "hexadecimal") from None


def _blob(kind: type[Blob]) -> Decoder:
    def blob(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if type(stored) is not int:
            raise _wrong(path, "the size of a table")
        given = load(path)

        def checked() -> bytes:
            data = given()
            if len(data) != stored:
                raise DecodeError(f"{path}: has {len(data)} bytes and not {stored}")
            return data

        return kind(checked)

    return blob


def _dataclass(kind: Any) -> Decoder:
    hints = typing.get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}

    def dataclass(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if not isinstance(stored, dict):
            raise _wrong(path, "an object")
        if stored.keys() != fields.keys():
            name = sorted(stored.keys() ^ fields.keys())[0]
            raise DecodeError(f"{_below(path, name)}: is {'missing' if name in fields else 'not known'}")
        return kind(**{n: decoder(stored[n], _below(path, n), load) for n, decoder in fields.items()})

    return dataclass


def _optional(inner: Any) -> Decoder:
    decoder = _decoder(inner)
    return lambda stored, path, load: None if stored is None else decoder(stored, path, load)


def _sequence(inner: Any) -> Decoder:
    decoder = _decoder(inner)

    def sequence(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if not isinstance(stored, list):
            raise _wrong(path, "a list")
        if inner is int and all(type(item) is int for item in stored):
            return tuple(stored)
        return tuple([decoder(item, f"{path}[{i}]", load) for i, item in enumerate(stored)])

    return sequence


def _row(inner: tuple[Any, ...]) -> Decoder:
    decoders = [_decoder(one) for one in inner]

    def row(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if not isinstance(stored, list) or len(stored) != len(decoders):
            raise _wrong(path, f"a list of {len(decoders)}")
        return tuple(
            [
                one(item, f"{path}[{i}]", load)
                for i, (one, item) in enumerate(zip(decoders, stored, strict=True))
            ]
        )

    return row


def _mapping(inner: Any) -> Decoder:
    decoder = _decoder(inner)

    def mapping(stored: object, path: str, load: Callable[[str], Load]) -> object:
        if not isinstance(stored, dict):
            raise _wrong(path, "an object")
        return {name: decoder(item, _below(path, name), load) for name, item in stored.items()}

    return mapping


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _wrong(path: str, wanted: str) -> DecodeError:
    return DecodeError(f"{path or 'its values'}: is not {wanted}")
