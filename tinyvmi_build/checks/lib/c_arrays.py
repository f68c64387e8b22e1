"""Tables for templates that write C arrays: (C type, numbers) by the array's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tinyvmi_build.profile.encoding import Numbers

Arrays = dict[str, tuple[str, Sequence[int]]]


def array(numbers: Numbers) -> tuple[str, Sequence[int]]:
    """A table of a profile."""
    return numbers.C_TYPE, numbers.values


def u32_array(numbers: Iterable[int]) -> tuple[str, Sequence[int]]:
    return "uint32_t", [number & 0xFFFFFFFF for number in numbers]


def numbers_of(values: object) -> list[tuple[str, int]]:
    """(name, value) of each field of a dataclass that is a number, sorted by name: a C struct's members."""
    assert dataclasses.is_dataclass(values)
    fields = ((field.name, getattr(values, field.name)) for field in dataclasses.fields(values))
    return sorted((name, int(value)) for name, value in fields if isinstance(value, int))
