"""One reader for every ELF file that the tool opens, whoever made it.

A file may be damaged, and whoever gave it may be hostile.  So every number is checked before it is used, and
what is read costs time and memory in proportion to the file's size: tables are counted before they are
read, names are read once each, and names that overlap more than a linker's do are refused.
Source: elf(5); System V ABI, AMD64 supplement.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tinyvmi_build.errors import UsageError

MAGIC = b"\x7fELF"
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
PT_LOAD, PT_NOTE = 1, 4
SHT_NULL, SHT_SYMTAB, SHT_RELA, SHT_DYNAMIC, SHT_NOTE, SHT_NOBITS = 0, 2, 4, 6, 7, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHN_UNDEF, SHN_LORESERVE, SHN_ABS = 0, 0xFF00, 0xFFF1
STB_LOCAL, STB_WEAK = 0, 2
STT_FUNC, STT_FILE = 2, 4

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_SYM = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_DYN = struct.Struct("<QQ")
_CLASS64, _LITTLE, _EM_X86_64 = 2, 1, 62
_PN_XNUM, _SHN_XINDEX = 0xFFFF, 0xFFFF  # the number does not fit: the first section header has it
_DT_NEEDED = 1

_MAX_SECTIONS = 1 << 16
_MAX_SEGMENTS = 1 << 18  # a memory dump has one for each run of pages
_MAX_SYMBOLS = 1 << 21
_MAX_TABLE = 1 << 28  # bytes of a table of names, symbols or relocations
_MAX_NAME = 4096


class ElfError(Exception):
    """What is wrong with an ELF file, without its name."""


@contextmanager
def elf_errors(where: str, what: str) -> Iterator[None]:
    """Turn an ElfError into a UsageError that names the file (`where`) and what it should be (`what`)."""
    try:
        yield
    except ElfError as error:
        raise UsageError(f"{where}: not a usable {what}: {error}", hint="is the file complete?") from None


@dataclass(frozen=True)
class Header:
    """The ELF header."""

    elf_class: int
    byte_order: int
    type: int
    machine: int
    entry: int
    phoff: int
    shoff: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    @property
    def x86_64(self) -> bool:
        return (self.elf_class, self.byte_order, self.machine) == (_CLASS64, _LITTLE, _EM_X86_64)


@dataclass(frozen=True)
class Segment:
    """A program header; bytes from `filesz` to `memsz` are zero in memory."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


@dataclass(frozen=True)
class Section:
    """A section header; `index` is its number, by which others name it."""

    index: int
    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entsize: int

    @property
    def nobits(self) -> bool:
        """Whether it takes memory but no bytes of the file, as .bss does."""
        return self.type == SHT_NOBITS


class Symbol(NamedTuple):
    """`section` is a section's index, or SHN_UNDEF, SHN_ABS and the like."""

    name: str
    type: int
    bind: int
    section: int
    value: int
    size: int

    @property
    def function(self) -> bool:
        return self.type == STT_FUNC

    @property
    def weak(self) -> bool:
        return self.bind == STB_WEAK

    @property
    def local(self) -> bool:
        return self.bind == STB_LOCAL


class Relocation(NamedTuple):
    """`symbol` is a symbol's number in the table of symbols."""

    offset: int
    type: int
    symbol: int
    addend: int


def read_header(data: bytes | mmap.mmap) -> Header:
    """The ELF header at the begin of `data`, of whatever machine; ElfError if there is none."""
    if data[:4] != MAGIC:
        raise ElfError("no ELF header")
    if len(data) < _EHDR.size:
        raise ElfError("the ELF header is cut short")
    (ident, kind, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx) = (
        _EHDR.unpack_from(data)
    )
    return Header(
        *(ident[4], ident[5], kind, machine, entry, phoff, shoff),
        *(phentsize, phnum, shentsize, shnum, shstrndx),
    )


class Elf:
    """The headers and tables of an ELF file of 64-bit x86; ElfError if `data` is none or is damaged.

    The tables of segments and sections are read at once; where their contents lie is checked when they are
    asked for, or by `require_contents`: a dump that was cut short is still a dump.
    """

    def __init__(self, data: bytes | mmap.mmap):
        self.data = data
        self.header = header = read_header(data)
        if not header.x86_64:
            raise ElfError(f"not for x86-64 (ELF class {header.elf_class}, machine {header.machine})")
        first = self._first_section()
        phnum = first[7] if header.phnum == _PN_XNUM and first else header.phnum
        shnum = first[5] if header.shnum == 0 and first and first[5] >= SHN_LORESERVE else header.shnum
        self._names_in = first[6] if header.shstrndx == _SHN_XINDEX and first else header.shstrndx
        self._require_table(header.phoff, phnum, header.phentsize, _PHDR, "program headers", _MAX_SEGMENTS)
        self._require_table(header.shoff, shnum, header.shentsize, _SHDR, "section headers", _MAX_SECTIONS)
        #: Behind the header and both tables.
        self.tables_end = max(
            _EHDR.size, *(at + n * entry.size for at, n, entry in (
                (header.phoff if phnum else 0, phnum, _PHDR), (header.shoff if shnum else 0, shnum, _SHDR)
            ))
        )  # fmt: skip
        self.segments = [
            Segment(*_PHDR.unpack_from(data, header.phoff + i * _PHDR.size)[:7]) for i in range(phnum)
        ]
        self.sections = self._read_sections(shnum)

    def _first_section(self) -> tuple[int, ...] | None:
        at = self.header.shoff
        return _SHDR.unpack_from(self.data, at) if 0 < at <= len(self.data) - _SHDR.size else None

    def _require_table(
        self, offset: int, count: int, size: int, entry: struct.Struct, what: str, most: int
    ) -> None:
        if not count:
            return
        if size != entry.size:
            raise ElfError(f"{what} of an unknown size")
        if count > most:
            raise ElfError(f"{count:,} {what}")
        if offset + count * entry.size > len(self.data):
            raise ElfError(f"{what} lie beyond the end of the file (truncated?)")

    def _read_sections(self, count: int) -> list[Section]:
        headers = [_SHDR.unpack_from(self.data, self.header.shoff + i * _SHDR.size) for i in range(count)]
        if all(header[1] == SHT_NULL for header in headers):  # of a dump, the one that counts segments
            names = _Names(b"\0")
        elif self._names_in >= count:
            raise ElfError("no section names")
        else:
            *_, offset, size, _, _, _, _ = headers[self._names_in]
            names = _Names(self._bytes(offset, size, "the section names"))
        return [
            Section(
                *(i, names.at(name) if kind else "", kind, flags, addr, offset),
                *(size, link, info, max(align, 1), entsize),
            )
            for i, (name, kind, flags, addr, offset, size, link, info, align, entsize) in enumerate(headers)
        ]

    def _bytes(self, offset: int, size: int, what: str, most: int = _MAX_TABLE) -> bytes:
        if offset + size > len(self.data):
            raise ElfError(f"{what} lie beyond the end of the file (truncated?)")
        if size > most:
            raise ElfError(f"{what} have an impossible size")
        return self.data[offset : offset + size]

    def require_contents(self) -> int:
        """ElfError unless all segments and sections lie in the file; the offset behind all of them."""
        parts = {
            "segment": [
                (i, s.offset, s.filesz) for i, s in enumerate(self.segments) if s.type in (PT_LOAD, PT_NOTE)
            ],
            "section": [
                (s.index, s.offset, s.size) for s in self.sections if s.type not in (SHT_NULL, SHT_NOBITS)
            ],
        }
        end = self.tables_end
        for what, found in parts.items():
            for index, offset, size in found:
                if offset + size > len(self.data):
                    raise ElfError(f"{what} {index} lies beyond the end of the file (truncated?)")
                end = max(end, offset + size)
            if sum(size for *_, size in found) > 2 * len(self.data):
                raise ElfError(f"its {what}s overlap")
        return end

    @cached_property
    def by_name(self) -> dict[str, Section]:
        """The first section of each name."""
        return {s.name: s for s in reversed(self.sections) if s.type != SHT_NULL}

    def content(self, section: Section) -> bytes:
        """The section's bytes in the file; of .bss and the like, nothing."""
        if section.nobits:
            return b""
        return self._bytes(section.offset, section.size, f"section {section.index}", len(self.data))

    def table(self, section: Section, entry: struct.Struct, what: str) -> Iterator[tuple[int, ...]]:
        """The entries of a section that is a table."""
        if section.nobits or section.size % entry.size:
            raise ElfError(f"the table of {what} is damaged")
        return entry.iter_unpack(self._bytes(section.offset, section.size, what))

    def _names_of(self, section: Section) -> _Names:
        """The names that a table refers to: sh_link is the number of their section."""
        if not 0 < section.link < len(self.sections) or self.sections[section.link].nobits:
            raise ElfError(f"section {section.index} has no names")
        names = self.sections[section.link]
        return _Names(self._bytes(names.offset, names.size, "names"))

    @cached_property
    def symbols(self) -> list[Symbol]:
        """In the order of the table of symbols, the empty first one included; [] if there is no table."""
        section = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        if section is None:
            return []
        if section.size // _SYM.size > _MAX_SYMBOLS:
            raise ElfError(f"{section.size // _SYM.size:,} symbols")
        names = self._names_of(section)
        return [
            Symbol(names.at(name), info & 15, info >> 4, shndx, value, size)
            for name, info, _, shndx, value, size in self.table(section, _SYM, "symbols")
        ]

    @cached_property
    def _relocations_of(self) -> dict[int, list[Section]]:
        found: dict[int, list[Section]] = {}
        for section in self.sections:
            if section.type == SHT_RELA:
                found.setdefault(section.info, []).append(section)
        return found

    def relocations(self, section: Section) -> Iterator[Relocation]:
        """Each relocation of `section`, of 4 bytes at least, by a symbol that exists."""
        for table in self._relocations_of.get(section.index, ()):
            for offset, info, addend in self.table(table, _RELA, "relocations"):
                if offset + 4 > section.size or info >> 32 >= len(self.symbols):
                    raise ElfError("a relocation leads out of its section")
                yield Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend)

    def needed(self) -> list[str]:
        """Names of the shared libraries that the dynamic section asks for."""
        section = next((s for s in self.sections if s.type == SHT_DYNAMIC), None)
        if section is None or section.nobits:
            return []
        names = self._names_of(section)
        return [names.at(value) for tag, value in self.table(section, _DYN, "libraries") if tag == _DT_NEEDED]


class _Names:
    """A table of names, each closed by a zero byte; a name is known by where it begins."""

    def __init__(self, data: bytes):
        self._data = data
        self._known: dict[int, str] = {}
        # A linker lets one name be the end of another; a table made of nothing but that is no linker's.
        self._left = 16 * len(data) + (64 << 10)

    def at(self, offset: int) -> str:
        name = self._known.get(offset)
        if name is None:
            end = self._data.find(b"\0", offset, offset + _MAX_NAME + 1)
            if not self._data and not offset:
                end = 0  # a table may be empty: all its names are
            if end < 0:
                raise ElfError(f"the name at {offset} of its table is cut short or too long")
            self._left -= end - offset
            if self._left < 0:
                raise ElfError("its names overlap")
            name = self._known[offset] = self._data[offset:end].decode("ascii", "backslashreplace")
        return name
