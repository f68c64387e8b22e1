"""Symbols, types and relocations of small kernels whose every value is known."""

import struct

import pytest

from tests.unit.kernel import writers
from tests.unit.kernel.writers import RODATA, TEXT
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.kallsyms import parse_kallsyms
from tinyvmi_build.kernel.missing import MissingFactError
from tinyvmi_build.kernel.relocs import RelocKind, parse_relocations


def test_identity(small):
    _, image = small
    assert image.build_id == writers.BUILD_ID.hex()
    assert image.banner == writers.BANNER.rstrip("\n")
    assert image.release == "9.9.9-test"
    assert (image.text_va, image.physical_start, image.image_size) == (TEXT, 0x1000000, 0x110000)
    assert image.read(image.build_id_va, 20) == writers.BUILD_ID
    assert image.u64(RODATA + 0x100) == TEXT + 0x100
    assert image.u32(RODATA + 0x104) == 0xFFFFFFFF
    assert image.u16(TEXT) == 0x0100
    assert image.cstr(TEXT + 0x100040) == "/sbin/modprobe"


def test_symbols_all_layouts(small):
    layout, image = small
    expected = writers.symbols(layout)
    table = image.symbols
    assert len(table) == len(expected)
    assert sorted((s.address, s.type, s.name) for s in table) == sorted(expected)
    for name, (address, kind) in writers.NEEDED.items():
        if name != "twin" and kind != "A":
            assert table.lookup(name) == address
    assert [s.address for s in table.all("twin")] == [TEXT + 0x200, TEXT + 0x280]
    assert "filler_599" in table
    assert "filler_600" not in table


def test_lookup_errors(small):
    _, image = small
    with pytest.raises(KeyError):
        image.symbols.lookup("no_such_thing")
    with pytest.raises(MissingFactError, match="^small: the kernel has no symbol no_such_thing$"):
        image.symbols.lookup("no_such_thing")
    with pytest.raises(MissingFactError, match="twin is not unique"):
        image.symbols.lookup("twin")
    assert image.symbols.get("no_such_thing") is None


def test_nearest(small):
    _, image = small
    nearest = image.symbols.nearest
    assert nearest(TEXT) == ("startup_64", 0)  # not the linker script's _text
    assert nearest(TEXT + 0x105) == ("sys_alpha", 5)  # not its local alias
    assert nearest(RODATA + 0x108) == ("sys_call_table", 8)
    assert nearest(TEXT + 0x110000) == ("_end", 0)
    assert nearest(TEXT + 0x110001) is None
    assert nearest(TEXT - 1) is None
    assert nearest(0x7000) is None
    assert image.symbols.next_address(TEXT + 0x110) == TEXT + 0x200
    assert {s.name for s in image.symbols.at(TEXT)} == {"_text", "startup_64"}
    with pytest.raises(MissingFactError):
        image.symbols.next_address(TEXT + 0x110000)


def test_per_cpu(small):
    layout, image = small
    (symbol,) = image.symbols.all("current_thing")
    assert image.symbols.per_cpu(symbol)
    assert symbol.absolute == (layout != "7.0")
    assert not image.symbols.per_cpu(image.symbols.all("sys_alpha")[0])


def test_decoy_digits_do_not_mislead():
    decoy = b"\0".join(b"%d" % d for d in range(10)) + b"\0"
    region = bytes(64) + decoy + bytes(-len(decoy) % 64) + writers.kallsyms(
        writers.symbols("6.12"), "6.12", 0
    )  # fmt: skip
    assert parse_kallsyms(region, RODATA, "k").lookup("sys_alpha") == TEXT + 0x100


def test_no_kallsyms(image_of):
    with pytest.raises(UsageError, match="no kallsyms tables") as caught:
        image_of(writers.vmlinux(with_kallsyms=False))
    assert "CONFIG_KALLSYMS" in (caught.value.hint or "")


def test_no_btf(image_of):
    with pytest.raises(UsageError, match=r"no BTF \(section .BTF\)") as caught:
        image_of(writers.vmlinux(without=".BTF"))
    assert "CONFIG_DEBUG_INFO_BTF" in (caught.value.hint or "")


@pytest.mark.parametrize("without", (".rodata", ".notes"))
def test_other_sections_missing(image_of, without):
    with pytest.raises(UsageError, match=r"no section .rodata|no 20-byte GNU build-id"):
        image_of(writers.vmlinux(without=without))


@pytest.mark.parametrize("banner", ("Plan 9\n", "", "Linux version 1\x1b[2J (x)\n"))
def test_banner_of_something_else(image_of, banner):
    with pytest.raises(UsageError, match="does not name a release"):
        image_of(writers.vmlinux(banner=banner))


@pytest.fixture(scope="module")
def btf():
    return Btf(writers.sample_btf(), "k")


def test_btf_offsets(btf):
    assert len(btf) == 16
    assert btf.offset("task_struct", "comm") == 8  # in an anonymous union
    assert btf.offset("struct task_struct", "serial") == 16
    assert btf.member("task_struct", "pairs").bit_offset == 192
    assert btf.offset("pair", "second") == 8
    assert btf.sizeof("task_struct") == 136
    assert btf.sizeof("struct pair") == btf.sizeof("pair") == 16
    assert btf.sizeof("word_t") == 8
    assert btf.sizeof("task_struct", "comm") == 16
    assert btf.sizeof("task_struct", "pairs") == 96
    assert btf.sizeof("pair", "second") == 8
    assert btf.array_length("task_struct", "comm") == 16
    assert btf.array_length("task_struct", "pairs") == 2


def test_btf_bit_fields(btf):
    assert btf.member("idt_bits", "dpl").bit_offset == 5
    assert btf.member("idt_bits", "dpl").bits == 2
    assert btf.offset("idt_bits", "plain") == 1
    with pytest.raises(UsageError, match="bit field"):
        btf.offset("idt_bits", "ist")


def test_btf_enums(btf):
    assert btf.enum("system_states") == {"SYSTEM_BOOTING": 0, "SYSTEM_RUNNING": 3, "SYSTEM_SUSPEND": 7}
    assert btf.enum_value("enum signs", "MINUS") == -1
    assert btf.enum("wide") == {"HIGH": 1 << 40, "LOW": -2}


def test_btf_missing(btf):
    for ask in (
        lambda: btf.offset("no_such", "x"),
        lambda: btf.offset("union task_struct", "comm"),
        lambda: btf.offset("task_struct", "no_such"),
        lambda: btf.offset("task_struct", "comm.deeper"),
        lambda: btf.enum_value("system_states", "SYSTEM_GONE"),
    ):
        with pytest.raises(MissingFactError, match="^k: "):
            ask()
    assert not btf.has_type("no_such")
    assert btf.has_member("task_struct", "serial")
    assert not btf.has_member("task_struct", "no_such")
    with pytest.raises(UsageError, match="no array"):
        btf.array_length("task_struct", "flags")
    with pytest.raises(UsageError, match="not an enumeration"):
        btf.enum("task_struct")


def test_btf_in_circles():
    """A structure that holds itself namelessly, a typedef of itself, an array of itself."""
    w = writers.BtfWriter()
    w.struct("loop", 8, [("", 1, 0), ("", 1, 0), ("", 1, 0)])
    w.add(8, "me", 2)
    w.array(3, 2, 3)
    w.struct("holder", 8, [("a", 3, 0), ("b", 99, 0)])
    btf = Btf(w.data(), "k")
    assert not btf.has_member("loop", "x")
    for ask in (
        lambda: btf.sizeof("me"),
        lambda: btf.sizeof("holder", "a"),
        lambda: btf.sizeof("holder", "b"),
    ):
        with pytest.raises(UsageError, match="damaged"):
            ask()


@pytest.mark.parametrize("damage", ("magic", "short", "types", "kind", "tail"))
def test_btf_damaged(damage):
    data = bytearray(writers.sample_btf())
    if damage == "magic":
        data[0] ^= 1
    elif damage == "short":
        del data[20:]
    elif damage == "types":
        del data[-40:]
    elif damage == "kind":
        data[24 + 7] = 31
    else:
        struct.pack_into("<I", data, 12, struct.unpack_from("<I", data, 12)[0] - 4)
    with pytest.raises(UsageError, match="BTF is damaged"):
        len(Btf(bytes(data), "k"))


def test_relocations(small):
    layout, image = small
    assert list(image.relocs64) == [RODATA + 0x100, RODATA + 0x108]
    assert list(image.relocs32) == [TEXT + 0x10]
    assert list(image.inverse32) == ([] if layout == "7.0" else [TEXT + 0x20])
    assert image.relocs_in(RODATA, RODATA + 0x108) == [(RODATA + 0x100, RelocKind.R64)]
    assert image.relocs_in(TEXT + 0x10, TEXT + 0x11) == [(TEXT + 0x10, "32")]
    assert len(image.relocs) == (3 if layout == "7.0" else 4)


def test_no_relocations(image_of):
    assert len(image_of(writers.vmlinux(tail=b"")).relocs) == 0


def test_low_relocations_are_not_sign_extended():
    assert list(parse_relocations(writers.relocations([0x40], [], []), "k").r64) == [0x40]


@pytest.mark.parametrize("tail", (b"abc", b"abcd", bytes(4) + b"abcd", bytes(20)))
def test_bad_relocations(tail):
    with pytest.raises(UsageError, match="relocations"):
        parse_relocations(tail, "k")


def test_prototypes_tell_functions_apart():
    w = writers.BtfWriter()
    integer = w.integer("int", 4)
    same = [w.add(13, "", integer, vlen=1, tail=struct.pack("<II", 0, integer)) for _ in range(2)]
    other = w.add(13, "", 0, vlen=1, tail=struct.pack("<II", 0, integer))
    for name, prototype in (("a", same[0]), ("b", same[1]), ("c", other), ("d", same[0]), ("d", other)):
        w.add(12, name, prototype)
    found = Btf(w.data(), "k").prototypes
    assert found == {"a": (integer, integer), "b": (integer, integer), "c": (0, integer)}
