"""The one ELF reader: what it finds, what it refuses, and that no file makes it slow."""

from __future__ import annotations

import contextlib
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.elf.writer import SYM, Written, whole
from tinyvmi_build.elf.notes import parse_notes
from tinyvmi_build.elf.reader import SHN_UNDEF, SHT_NOTE, Elf, ElfError, elf_errors
from tinyvmi_build.errors import UsageError

WHOLE = whole().data()


def use(data: bytes) -> None:
    """Ask for everything, as its users do; ElfError alone may come of it."""
    with contextlib.suppress(ElfError):
        elf = Elf(data)
        for ask in (
            elf.require_contents,
            lambda: elf.symbols,
            elf.needed,
            lambda: [list(elf.relocations(s)) for s in elf.sections],
            lambda: [elf.content(s) for s in elf.sections],
            lambda: [list(parse_notes(elf.content(s))) for s in elf.sections if s.type == SHT_NOTE],
        ):
            with contextlib.suppress(ElfError):
                ask()


def test_every_table_is_read() -> None:
    elf = Elf(WHOLE)
    text = elf.by_name[".text"]
    assert (elf.header.type, elf.header.entry, text.size, text.flags) == (1, 0x1234, 32, 6)
    assert elf.content(text) == b"\x90" * 32
    assert elf.by_name[".bss"].nobits and elf.content(elf.by_name[".bss"]) == b""
    assert [(s.name, s.function, s.local, s.weak) for s in elf.symbols] == [
        ("", False, True, False),
        ("local.c", False, True, False),
        ("run", True, True, False),
        ("hook", True, False, True),
    ]
    assert elf.symbols[3].section == SHN_UNDEF
    assert list(elf.relocations(text)) == [(8, 4, 3, -4)]
    assert list(elf.relocations(elf.by_name[".bss"])) == []
    assert elf.needed() == ["libc.so.6"]
    assert [(s.vaddr, s.filesz, s.memsz) for s in elf.segments] == [(0x1000, 32, 64)]
    assert elf.require_contents() == len(WHOLE)
    assert elf.require_contents() == Elf(WHOLE + b"appended").require_contents()


def test_of_two_sections_of_a_name_the_first_counts() -> None:
    written = Written()
    first = written.add(".text", 1, b"a")
    written.add(".text", 1, b"b")
    assert Elf(written.data()).by_name[".text"].index == first


def test_numbers_that_do_not_fit_are_in_the_first_section() -> None:
    written = whole()
    count, names = len(written.headers) + 1, len(written.headers)
    written.headers[0][6] = names  # sh_link: where the names are
    written.shstrndx = 0xFFFF
    assert len(Elf(written.data()).sections) == count


@pytest.mark.parametrize(
    ("at", "layout", "value", "message"),
    [
        (0, "<4s", b"\x7fELG", "no ELF header"),
        (4, "<B", 1, "not for x86-64"),
        (18, "<H", 183, "not for x86-64 .ELF class 2, machine 183"),
        (40, "<Q", 1 << 63, "section headers lie beyond"),
        (32, "<Q", (1 << 64) - 1, "program headers lie beyond"),
        (58, "<H", 63, "section headers of an unknown size"),
        (54, "<H", 57, "program headers of an unknown size"),
        (60, "<H", 0xFFFE, "section headers lie beyond"),
        (62, "<H", 0x1FF, "no section names"),
    ],
)
def test_a_damaged_header(at: int, layout: str, value: object, message: str) -> None:
    data = bytearray(WHOLE)
    struct.pack_into(layout, data, at, value)
    with pytest.raises(ElfError, match=message):
        Elf(bytes(data))


#: Fields of a section header.
NAME, TYPE, FLAGS, ADDR, OFFSET, SIZE, LINK, INFO = range(8)


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        (".text", NAME, 1 << 20, "the name at 1048576 of its table"),
        (".text", OFFSET, 1 << 63, "section 1 lies beyond the end"),
        (".symtab", LINK, 99, "section 3 has no names"),
        (".symtab", LINK, 0, "section 3 has no names"),
        (".symtab", SIZE, 25, "the table of symbols is damaged"),
        (".rela.text", SIZE, 25, "the table of relocations is damaged"),
        (".rela.text", OFFSET, 66, "a relocation leads out of its section"),
        (".dynamic", SIZE, 7, "the table of libraries is damaged"),
        (".dynamic", LINK, 99, "section 5 has no names"),
    ],
)
def test_a_damaged_section(section: str, field: int, value: int, message: str) -> None:
    index = Elf(WHOLE).by_name[section].index
    written = whole()
    written.headers[index][field] = value
    with pytest.raises(ElfError, match=message):
        elf = Elf(written.data())
        elf.require_contents()
        for found in elf.sections:
            list(elf.relocations(found))
        assert elf.symbols
        elf.needed()


def test_sections_that_are_larger_than_their_file_together() -> None:
    written = Written()
    for _ in range(8):
        index = written.add(".text", 1, b"")
        written.headers[index][SIZE] = 600
    with pytest.raises(ElfError, match="its sections overlap"):
        Elf(written.data()).require_contents()


def test_names_that_overlap_more_than_a_linkers() -> None:
    """60,000 names, each the tail of one of 4,000 bytes: read one by one they would be 120 MB."""
    strings = b"\0" + b"\0".join(b"x" * 4000 for _ in range(15)) + b"\0"
    written = Written()
    names = written.add(".strtab", 3, strings)
    written.add(
        ".symtab", 2, b"".join(SYM.pack(at, 2, 0, 0, 0, 0) for at in range(1, len(strings) - 1)), link=names
    )
    elf = Elf(written.data())
    start = time.process_time()
    with pytest.raises(ElfError, match="its names overlap"):
        _ = elf.symbols
    assert time.process_time() - start < 5


def test_one_name_of_many_symbols_is_read_once() -> None:
    written = Written()
    names = written.add(".strtab", 3, b"\0" + b"x" * 4000 + b"\0")
    written.add(".symtab", 2, SYM.pack(1, 2, 0, 0, 0, 0) * 100_000, link=names)
    symbols = Elf(written.data()).symbols
    assert len(symbols) == 100_000 and symbols[0].name is symbols[-1].name


def test_tables_that_would_take_the_memory_away() -> None:
    written = whole()
    written.headers[Elf(WHOLE).by_name[".symtab"].index][SIZE] = 24 << 22
    with pytest.raises(ElfError, match="4,194,304 symbols"):
        _ = Elf(written.data()).symbols
    data = bytearray(WHOLE)
    struct.pack_into("<H", data, 56, 0xFFFF)  # as many segments as the first section says
    shoff = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<I", data, shoff + 44, 1 << 30)
    with pytest.raises(ElfError, match="1,073,741,824 program headers"):
        Elf(bytes(data))


def test_a_name_that_never_ends() -> None:
    written = Written()
    names = written.add(".strtab", 3, b"\0" + b"x" * 5000 + b"\0")
    written.add(".symtab", 2, SYM.pack(1, 2, 0, 0, 0, 0), link=names)
    with pytest.raises(ElfError, match="the name at 1 of its table is cut short or too long"):
        _ = Elf(written.data()).symbols


def test_relocations_of_every_section_are_found_in_one_pass() -> None:
    """10,000 sections with 10,000 tables of relocations: a search for each would take 10^8 steps."""
    written = Written()
    names = written.add(".strtab", 3, b"\0")
    table = written.add(".symtab", 2, SYM.pack(0, 0, 0, 0, 0, 0), link=names)
    for _ in range(10_000):
        index = written.add(".text", 1, bytes(8))
        written.add(".rela", 4, struct.pack("<QQq", 0, 2, 0), link=table, info=index)
    elf = Elf(written.data())
    start = time.process_time()
    assert sum(len(list(elf.relocations(s))) for s in elf.sections) == 10_000
    assert time.process_time() - start < 5


def test_an_error_names_the_file() -> None:
    message = "^m.ko: not a usable kernel module: no ELF header$"
    with pytest.raises(UsageError, match=message) as caught, elf_errors("m.ko", "kernel module"):
        Elf(b"")
    assert caught.value.hint == "is the file complete?"


@given(st.binary(max_size=4000))
@settings(max_examples=200)
def test_arbitrary_bytes(data: bytes) -> None:
    use(data)
    use(b"\x7fELF\2\1\1" + bytes(11) + b"\x3e\0" + data)


edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)


@given(edits, st.one_of(st.just(1.0), st.floats(0, 1)))
@settings(max_examples=400)
def test_bytes_changed_and_cut_anywhere(changes: list[tuple[float, bytes]], keep: float) -> None:
    data = bytearray(WHOLE)
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    use(bytes(data[: int(keep * len(data))]))


numbers = st.one_of(
    st.integers(0, 1 << 17), st.sampled_from([1 << 28, 1 << 31, 1 << 32, 1 << 40, 1 << 63, (1 << 64) - 1])
)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 9), numbers), min_size=1, max_size=5),
    st.one_of(st.none(), st.integers(0, 0xFFFF)),
    st.one_of(st.none(), st.integers(0, 0xFFFF)),
)
@settings(max_examples=400)
def test_any_number_in_any_section_header(
    changes: list[tuple[int, int, int]], shnum: int | None, shstrndx: int | None
) -> None:
    written = whole()
    written.shnum, written.shstrndx = shnum, shstrndx
    for section, which, value in changes:
        narrow = which in (NAME, TYPE, LINK, INFO)
        written.headers[section % len(written.headers)][which] = value & 0xFFFFFFFF if narrow else value
    use(written.data())


def test_every_cut() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ElfError):
            Elf(WHOLE[:size]).require_contents()
