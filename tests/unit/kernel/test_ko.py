"""Module files: read as they are, refused by name when they are damaged."""

from __future__ import annotations

import gzip
import lzma
import struct

import pytest

from tests.unit.kernel.ko_writer import module
from tinyvmi_build.checks.modules.layout import Area, Rules, lay_out
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.ko import KoFile, plain_name, unpacked

BEFORE_6_4, SINCE_6_4 = Rules(False, False), Rules(True, False)


def test_what_a_module_says_of_itself() -> None:
    ko = KoFile(
        module({".modinfo": b"name=some_module\0depends=a-b,c\0vermagic=6.1.0-1-amd64 SMP\0"}), "m.ko"
    )
    assert (ko.name, ko.depends, ko.release) == ("some_module", ["a_b", "c"], "6.1.0-1-amd64")


def test_a_module_without_a_name() -> None:
    with pytest.raises(UsageError, match="does not say its name"):
        _ = KoFile(module({}), "m.ko").name


@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
def test_compressed_and_signed(pack) -> None:
    signed = module({".text": b"\xc3"}) + b"SIGNATURE~Module signature appended~\n"
    assert KoFile(unpacked(pack(signed), "m.ko"), "m.ko").section(".text") is not None


def test_zstd() -> None:
    zstandard = pytest.importorskip("zstandard")
    data = module({".text": b"\xc3"})
    assert unpacked(zstandard.ZstdCompressor().compress(data), "m") == data


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF", b"\xfd7zXZ\0broken", b"\x1f\x8bbroken", b"\x28\xb5\x2f\xfdbroken"]
)
def test_damage_is_an_error(data: bytes) -> None:
    with pytest.raises(UsageError):
        KoFile(unpacked(data, "m.ko"), "m.ko")


def test_every_cut_is_an_error_or_a_module() -> None:
    whole = module({".text": b"\xc3" * 40, ".rodata": b"x" * 9})
    for size in range(len(whole)):
        with pytest.raises(UsageError):
            KoFile(whole[:size], "m.ko")


def test_a_symbol_table_that_leads_out() -> None:
    data = bytearray(module({".text": b"\xc3"}))
    shoff = struct.unpack_from("<Q", data, 0x28)[0]
    struct.pack_into("<Q", data, shoff + 64 + 24, 1 << 40)  # sh_offset of the first section
    with pytest.raises(UsageError, match="beyond the end"):
        KoFile(bytes(data), "m.ko")


def test_dashes() -> None:
    assert plain_name("xen-netfront") == "xen_netfront"


def test_layout_before_6_4_is_one_allocation() -> None:
    """Areas follow one another in whole pages; sections are aligned, and empty ones have their place."""
    ko = KoFile(
        module(
            {
                ".text": (b"\xc3" * 5, "AX", 16),
                ".exit.text": (b"\xc3" * 3, "AX", 1),
                ".init.text": (b"\xc3" * 3, "AX", 1),
                ".rodata": (b"r" * 10, "A", 32),
                "__versions": (b"v" * 64, "A", 32),
                ".modinfo": (b"name=m\0", "A", 1),
                "__jump_table": (b"j" * 16, "AW", 8),
                ".data": (b"", "AW", 32),
                ".bss": (b"", "AW", 64),
            }
        ),
        "m.ko",
    )
    layout = lay_out(ko, BEFORE_6_4)
    base = layout.start[Area.TEXT]

    def at(name: str) -> int:
        section = ko.section(name)
        assert section
        return layout.section[section.index]

    assert (at(".text"), at(".exit.text")) == (base, base + 5)
    assert at(".rodata") == base + 4096
    assert at("__jump_table") == layout.start[Area.RO_AFTER_INIT] == base + 8192
    assert at(".bss") == at(".data") == base + 12288
    assert layout.size[Area.TEXT] == 4096 and layout.size[Area.DATA] == 0
    assert at(".init.text") == layout.start[Area.INIT_TEXT] > base + 12288
    dropped = ko.section("__versions")
    assert dropped and dropped.index not in layout.section
    assert [block.area for block in layout.blocks] == [Area.TEXT, Area.INIT_TEXT]


def test_layout_since_6_4_is_one_allocation_an_area() -> None:
    sections = {
        ".text": (b"\xc3", "AX", 16),
        ".rodata": (b"r", "A", 1),
        ".static_call_sites": (b"s" * 8, "AW", 1),
        ".data": (b"d", "AW", 1),
    }
    ko = KoFile(module(sections), "m.ko")
    for rules, area in ((SINCE_6_4, Area.DATA), (Rules(True, True), Area.RO_AFTER_INIT)):
        layout = lay_out(ko, rules)
        calls = ko.section(".static_call_sites")
        assert calls and layout.area[calls.index] == area
        assert (
            len({block.start // 4096 for block in layout.blocks})
            == len(layout.blocks)
            == 3 + (area == Area.RO_AFTER_INIT)
        )
