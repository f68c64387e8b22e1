"""A kernel module's file (.ko): relocatable ELF, perhaps compressed, perhaps with an appended signature.

Every number in it is checked before it is used.  Source: elf(5); the
signature stands behind the ELF file (scripts/sign-file.c) and is never looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tinyvmi_build import files
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.unpack import unpack

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_SYM = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_NHDR = struct.Struct("<III")
_ET_REL, _EM_X86_64 = 1, 62
_SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS = 2, 4, 8
_NT_GNU_BUILD_ID = 3
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHN_UNDEF, SHN_LORESERVE, SHN_ABS = 0, 0xFF00, 0xFFF1


@dataclass(frozen=True)
class KoSection:
    """A section header; `name` as in the file, `index` its number."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int

    @property
    def nobits(self) -> bool:
        return self.type == _SHT_NOBITS


@dataclass(frozen=True)
class KoSymbol:
    """`section` is a section's index, or SHN_UNDEF, SHN_ABS; `value` counts from the section's begin."""

    name: str
    type: int
    bind: int
    section: int
    value: int
    size: int

    @property
    def function(self) -> bool:
        return self.type == 2

    @property
    def weak(self) -> bool:
        return self.bind == 2


class KoFile:
    """The module in `data`, the content of a .ko; UsageError, naming `where`, if it is none."""

    def __init__(self, data: bytes, where: str):
        self.data = data
        self.where = where
        if len(data) < _EHDR.size or data[:4] != b"\x7fELF":
            raise self._bad("no ELF header")
        ident, kind, machine, _, _, _, shoff, _, _, _, _, shsize, shnum, shstrndx = _EHDR.unpack_from(data)
        if ident[4] != 2 or ident[5] != 1 or machine != _EM_X86_64 or kind != _ET_REL:
            raise self._bad("not a relocatable x86-64 file")
        if shsize != _SHDR.size or shoff + shnum * shsize > len(data) or not 0 < shstrndx < shnum:
            raise self._bad("the section headers are damaged")
        headers = [_SHDR.unpack_from(data, shoff + i * shsize) for i in range(shnum)]
        for header in headers:
            if header[1] not in (0, _SHT_NOBITS) and header[4] + header[5] > len(data):
                raise self._bad("a section lies beyond the end of the file")
            if header[8] & (header[8] - 1) or header[8] > 1 << 20 or header[5] > files.MODULE.bytes_max:
                raise self._bad("a section has an impossible alignment or size")
        names = data[headers[shstrndx][4] : headers[shstrndx][4] + headers[shstrndx][5]]
        self.sections = [
            KoSection(i, _string(names, h[0]), h[1], h[2], h[4], h[5], h[6], h[7], h[8] or 1)
            for i, h in enumerate(headers)
        ]

    def _bad(self, what: str) -> UsageError:
        return UsageError(f"{self.where}: not a usable kernel module: {what}", hint="is the file complete?")

    def bytes_of(self, section: KoSection) -> bytes:
        """The section's bytes, zeros for .bss."""
        if section.nobits:
            return bytes(section.size)
        return self.data[section.offset : section.offset + section.size]

    def section(self, name: str) -> KoSection | None:
        return next((s for s in self.sections if s.name == name), None)

    @cached_property
    def info(self) -> dict[str, str]:
        """.modinfo: the first value of each key."""
        section = self.section(".modinfo")
        found: dict[str, str] = {}
        for entry in (self.bytes_of(section) if section else b"").split(b"\0"):
            key, equals, value = entry.decode("ascii", "replace").partition("=")
            if equals:
                found.setdefault(key, value)
        return found

    @property
    def name(self) -> str:
        """As in /proc/modules."""
        try:
            return self.info["name"]
        except KeyError:
            raise self._bad("it does not say its name (.modinfo)") from None

    @property
    def depends(self) -> list[str]:
        """Names of the modules whose symbols it uses."""
        return [plain_name(n) for n in self.info.get("depends", "").split(",") if n]

    @property
    def release(self) -> str:
        """Of the kernel that it is for."""
        return self.info.get("vermagic", "").partition(" ")[0]

    @cached_property
    def build_id(self) -> tuple[KoSection, int, bytes] | None:
        """The GNU build-id: its section, where in it, and the 20 bytes."""
        for section in self.sections:
            if not section.name.startswith(".note.gnu.build-id"):
                continue
            data = self.bytes_of(section)
            if len(data) >= 36 and _NHDR.unpack_from(data) == (4, 20, _NT_GNU_BUILD_ID):
                return section, 16, data[16:36]
        return None

    @cached_property
    def symbols(self) -> list[KoSymbol]:
        """In the order of the symbol table: relocations name them by number."""
        table = next((s for s in self.sections if s.type == _SHT_SYMTAB), None)
        if table is None or table.link >= len(self.sections) or table.size % _SYM.size:
            raise self._bad("no symbol table")
        names = self.bytes_of(self.sections[table.link])
        return [
            KoSymbol(_string(names, name), info & 15, info >> 4, section, value, size)
            for name, info, _, section, value, size in _SYM.iter_unpack(self.bytes_of(table))
        ]

    def relocations(self, section: KoSection) -> Iterator[tuple[int, int, int, int]]:
        """(offset in the section, type, symbol's number, addend) of each relocation of `section`."""
        for other in self.sections:
            if other.type != _SHT_RELA or other.info != section.index:
                continue
            if other.size % _RELA.size:
                raise self._bad("a section of relocations is damaged")
            for offset, info, addend in _RELA.iter_unpack(self.bytes_of(other)):
                if offset + 4 > section.size or info >> 32 >= len(self.symbols):
                    raise self._bad("a relocation leads out of its section")
                yield offset, info & 0xFFFFFFFF, info >> 32, addend


def plain_name(name: str) -> str:
    """A module's name as the kernel writes it."""
    return name.replace("-", "_")


def unpacked(data: bytes, where: str) -> bytes:
    """The content of a .ko, .ko.xz, .ko.zst or .ko.gz, recognised by its first bytes."""
    return unpack(data, files.MODULE.bytes_max, where)


def _string(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else None].decode("ascii", "backslashreplace")
