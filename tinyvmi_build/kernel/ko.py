"""A kernel module's file (.ko): relocatable ELF, perhaps compressed, perhaps with an appended signature.

The signature stands behind the ELF file (scripts/sign-file.c) and is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from tinyvmi_build import files
from tinyvmi_build.elf.notes import GNU_BUILD_ID, parse_notes
from tinyvmi_build.elf.reader import (
    ET_REL,
    Elf,
    ElfError,
    Relocation,
    Section,
    Symbol,
    elf_errors,
    read_header,
)
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.unpack import unpack

_MAX_ALIGN = 1 << 20
_WHAT = "kernel module"


class KoFile:
    """The module in `data`, the content of a .ko; UsageError, naming `where`, if it is none."""

    def __init__(self, data: bytes, where: str):
        self.data = data
        self.where = where
        with elf_errors(where, _WHAT):
            header = read_header(data)
            if not header.x86_64 or header.type != ET_REL:
                raise ElfError("not a relocatable x86-64 file")
            self._elf = Elf(data)
            self._elf.require_contents()
            self.sections = self._elf.sections
            if not self.sections:
                raise ElfError("it has no sections")
            if any(s.align & (s.align - 1) or s.align > _MAX_ALIGN for s in self.sections):
                raise ElfError("a section has an impossible alignment")
            if sum(s.size for s in self.sections if s.nobits) > files.MODULE.bytes_max:
                raise ElfError("its sections have an impossible size")

    def _bad(self, what: str) -> UsageError:
        return UsageError(f"{self.where}: not a usable {_WHAT}: {what}", hint="is the file complete?")

    def bytes_of(self, section: Section) -> bytes:
        """The section's bytes, zeros for .bss."""
        return bytes(section.size) if section.nobits else self._elf.content(section)

    def section(self, name: str) -> Section | None:
        return self._elf.by_name.get(name)

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
    def build_id(self) -> tuple[Section, int, bytes] | None:
        """The GNU build-id: its section, where in it, and the 20 bytes."""
        for section in self.sections:
            if section.name.startswith(".note.gnu.build-id"):
                with elf_errors(self.where, _WHAT):
                    for note in parse_notes(self.bytes_of(section)):
                        if (note.owner, note.type, len(note.desc)) == ("GNU", GNU_BUILD_ID, 20):
                            return section, note.desc_at, note.desc
        return None

    @cached_property
    def symbols(self) -> list[Symbol]:
        """In the order of the symbol table: relocations name them by number."""
        with elf_errors(self.where, _WHAT):
            if not self._elf.symbols:
                raise ElfError("no symbol table")
            return self._elf.symbols

    def relocations(self, section: Section) -> Iterator[Relocation]:
        """Each relocation of `section`."""
        with elf_errors(self.where, _WHAT):
            yield from self._elf.relocations(section)


def plain_name(name: str) -> str:
    """A module's name as the kernel writes it."""
    return name.replace("-", "_")


def unpacked(data: bytes, where: str) -> bytes:
    """The content of a .ko, .ko.xz, .ko.zst or .ko.gz, recognised by its first bytes."""
    return unpack(data, files.MODULE.bytes_max, where)
