"""Page digests, locator sums and relocations of .rodata."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from blake3 import blake3

from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.rodata import golden as rodata
from tinyvmi_build.kernel.relocs import RelocKind

START = TEXT + 0x10000


def image(size: int, relocs: list[tuple[int, RelocKind]] | None = None, start: int = START) -> FakeImage:
    symbols = FakeSymbols({"__start_rodata": start, "__start_ro_after_init": start + size})
    data = bytes(i * 7 % 251 for i in range(size))
    return FakeImage(symbols, {start: data}, relocs or [])


def test_digests_and_lines_of_a_part_page() -> None:
    subject = image(4096 + 100)
    golden = rodata.compute(subject)
    data, pages = golden.content.data, golden.pages
    assert len(data) == 4196
    for name, digest in (("sha256", hashlib.sha256), ("blake3", blake3)):
        assert getattr(pages, name).data == digest(data[:4096]).digest() + digest(data[4096:]).digest()
    lines = tuple(pages.lines)
    assert lines[1] == zlib.crc32(data[64:128]) & 0xFFFF
    assert lines[65] == zlib.crc32(data[4160:4196]) & 0xFFFF  # the last line is cut
    assert lines[66:] == (0,) * 62


def test_a_relocation_across_a_border_is_in_both_pages() -> None:
    kinds = [
        (START + 4092, RelocKind.R64),  # four bytes in either page
        (START + 8, RelocKind.R32),
        (START + 4096 + 4095, RelocKind.INVERSE32),  # reaches out of the range
        (START - 4, RelocKind.R64),  # reaches into it
        (START - 8, RelocKind.R64),  # ends before it
    ]
    pages = rodata.compute(image(8192, kinds)).pages
    index, relocs = list(pages.reloc_index), list(pages.relocs)
    first = [(r >> 14, (r & 0x3FFF) - 8) for r in relocs[: index[1]]]
    second = [(r >> 14, (r & 0x3FFF) - 8) for r in relocs[index[1] :]]
    assert first == [(0, -4), (1, 8), (0, 4092)]
    assert second == [(0, -4), (2, 4095)]


def test_unaligned_bounds_are_not_guessed_at() -> None:
    with pytest.raises(UnsupportedError, match=r"bounds of \.rodata"):
        rodata.compute(image(4096, start=START + 8))


def test_strings_that_boot_code_cuts_are_found() -> None:
    text = rodata.CUT_STRINGS[0]
    data = bytearray(4096)
    data[100 : 100 + len(text)] = text  # ends with the NUL behind it
    data[200 : 200 + len(text) + 1] = text + b"!"  # the begin of a longer one is never given to strsep
    symbols = FakeSymbols({"__start_rodata": START, "__start_ro_after_init": START + 4096})
    golden = rodata.compute(FakeImage(symbols, {START: bytes(data)}, []))
    assert golden.cuts == (rodata.CutString(100, text.decode()),)
