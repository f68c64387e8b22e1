"""Segments, sections, notes of the kernel's ELF file."""

import struct

import pytest

from tests.unit.kernel import writers
from tests.unit.kernel.writers import RODATA, TEXT
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.elf import ElfFile
from tinyvmi_build.kernel.missing import MissingFactError


@pytest.fixture(scope="module")
def elf():
    return ElfFile(writers.vmlinux(), "k")


def test_sections(elf):
    text = elf.section(".text")
    assert (text.addr, text.size, text.nobits) == (TEXT, 0x2000, False)
    assert elf.section_bytes(text) == bytes(range(256)) * 32
    assert elf.section(".bss").nobits
    assert [s.name for s in elf.loaded_sections][:3] == [".data..percpu", ".text", ".rodata"]
    with pytest.raises(KeyError):
        elf.section(".nowhere")
    with pytest.raises(MissingFactError, match="^k: the kernel has no section .nowhere$"):
        elf.section(".nowhere")


def test_read(elf):
    assert elf.read(TEXT + 0x101, 4) == bytes([1, 2, 3, 4])
    assert elf.read(RODATA - 2, 4) == b"\xfe\xff\0\0"  # over the border of two segments
    assert elf.read(TEXT + 0x100900, 8) == bytes(8)  # .bss
    assert elf.read(TEXT, 0) == b""
    assert elf.read(1, 2) == elf.read(writers.PER_CPU_LOAD + 1, 2) == b"\1\2"
    for va, n in ((TEXT - 1, 1), (TEXT + 0x110000, 1), (TEXT + 0x10FFFF, 2), (0x1000, 1), (1 << 63, 4)):
        with pytest.raises(UsageError, match="not in the kernel image"):
            elf.read(va, n)


def test_physical(elf):
    assert elf.physical(TEXT) == 0x1000000
    assert elf.physical(RODATA + 5) == 0x1002005
    with pytest.raises(UsageError):
        elf.physical(TEXT + 0x7FFFF)


def test_build_id(elf):
    note = elf.build_id_note
    assert note.desc == writers.BUILD_ID
    assert elf.read(note.desc_va, 20) == writers.BUILD_ID
    assert [(n.owner, n.type) for n in elf.notes] == [("Xen", 3), ("GNU", 3)]


def test_no_build_id():
    with pytest.raises(UsageError, match="no 20-byte GNU build-id"):
        _ = ElfFile(writers.vmlinux(build_id=b"short"), "k").build_id_note


def test_appended_bytes_are_not_the_elf(elf):
    tail = writers.relocations([RODATA + 0x108, RODATA + 0x100], [TEXT + 0x10], [TEXT + 0x20])
    assert elf.data[elf.end :] == tail


@pytest.mark.parametrize("size", (3, 40, 100, 4100, 9000))
def test_truncated(size):
    with pytest.raises(UsageError, match="not a usable kernel ELF file"):
        ElfFile(writers.vmlinux()[:size], "k")


def test_other_machine():
    with pytest.raises(UsageError, match="not an x86-64 kernel.*machine 183"):
        ElfFile(writers.elf([(".text", 1, TEXT, b"x", 1)], machine=183), "k")


def test_impossible_segment():
    data = bytearray(writers.vmlinux())
    struct.pack_into("<Q", data, 64 + 40, 1 << 40)  # p_memsz of the first segment
    with pytest.raises(UsageError, match="impossible size"):
        ElfFile(bytes(data), "k")
