"""The kernel's ELF file as the boot loader sees it: segments, sections, notes.

Every number in the file is checked before it is used: a package may be
damaged, and whoever gave it may be hostile.  Source: elf(5), ELF-64 object
file format.
"""

from __future__ import annotations

import hashlib
import struct
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property

from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.missing import MissingFactError

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_NHDR = struct.Struct("<III")

_EM_X86_64 = 62
_PT_LOAD = 1
_PT_NOTE = 4
_SHT_NOBITS = 8
_SHF_ALLOC = 2
_NT_GNU_BUILD_ID = 3

_MAX_SEGMENT = 1 << 30
_MAX_NOTES = 1 << 20


@dataclass(frozen=True)
class Section:
    """One section; addresses are link addresses, sizes in bytes, `flags` is sh_flags."""

    name: str
    addr: int
    offset: int
    size: int
    flags: int
    nobits: bool


@dataclass(frozen=True)
class Segment:
    """One PT_LOAD; bytes from `filesz` to `memsz` are zero in memory."""

    vaddr: int
    paddr: int
    offset: int
    filesz: int
    memsz: int


@dataclass(frozen=True)
class Note:
    """One note and the link address of its descriptor."""

    owner: str
    type: int
    desc: bytes
    desc_va: int


class ElfFile:
    """A linked x86-64 kernel (`vmlinux`), possibly with bytes appended behind it.

    `where` names the file in errors.  Raises UsageError if `data` is no such file.
    """

    def __init__(self, data: bytes, where: str):
        self.data = data
        self.where = where
        if data[:4] != b"\x7fELF":
            raise self._bad("no ELF header")
        if len(data) < _EHDR.size:
            raise self._bad("the ELF header is cut short")
        ident, _, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, shstrndx = (
            _EHDR.unpack_from(data)
        )
        if ident[4] != 2 or ident[5] != 1 or machine != _EM_X86_64:
            raise UsageError(
                f"{where}: not an x86-64 kernel (ELF class {ident[4]}, machine {machine})",
                hint="TinyVMI judges x86-64 Linux kernels only",
            )
        if (phnum and phsize != _PHDR.size) or (shnum and shsize != _SHDR.size):
            raise self._bad("unknown header sizes")
        self._check(phoff, phnum * phsize, "program headers")
        self._check(shoff, shnum * shsize, "section headers")
        self._end: int = max(_EHDR.size, phoff + phnum * phsize, shoff + shnum * shsize)
        self._notes_at: list[tuple[int, int, int]] = []  # offset, size, va
        self.segments = self._read_segments(phoff, phnum)
        self.sections = self._read_sections(shoff, shnum, shstrndx)

    def _bad(self, what: str) -> UsageError:
        return UsageError(f"{self.where}: not a usable kernel ELF file: {what}", hint="is the file complete?")

    def _check(self, offset: int, size: int, what: str) -> None:
        if offset + size > len(self.data):
            raise self._bad(f"{what} lie beyond the end of the file (truncated?)")

    def _read_segments(self, phoff: int, phnum: int) -> list[Segment]:
        loads = []
        for i in range(phnum):
            kind, _, offset, vaddr, paddr, filesz, memsz, _ = _PHDR.unpack_from(
                self.data, phoff + i * _PHDR.size
            )
            if kind not in (_PT_LOAD, _PT_NOTE):
                continue
            self._check(offset, filesz, f"segment {i}")
            self._end = max(self._end, offset + filesz)
            if kind == _PT_NOTE:
                if filesz > _MAX_NOTES:
                    raise self._bad(f"segment {i} has an impossible size")
                self._notes_at.append((offset, filesz, vaddr))
                continue
            if not filesz <= memsz <= _MAX_SEGMENT or vaddr + memsz > 1 << 64:
                raise self._bad(f"segment {i} has an impossible size")
            loads.append(Segment(vaddr, paddr, offset, filesz, memsz))
        if not loads:
            raise self._bad("nothing in it is loaded")
        # The per-CPU template is linked at 0 (before Linux 6.15) but loaded among the rest: two addresses.
        high = next((s for s in loads if s.vaddr >> 63), None)
        if high:
            shift = high.vaddr - high.paddr
            loads += [
                replace(s, vaddr=s.paddr + shift)
                for s in loads
                if not s.vaddr >> 63 and s.paddr >= high.paddr
            ]
        return sorted(loads, key=lambda s: s.vaddr)

    def _read_sections(self, shoff: int, shnum: int, shstrndx: int) -> list[Section]:
        headers = [_SHDR.unpack_from(self.data, shoff + i * _SHDR.size) for i in range(shnum)]
        if shnum and shstrndx >= shnum:
            raise self._bad("no section names")
        if sum(h[5] for h in headers if h[1] not in (0, _SHT_NOBITS)) > 2 * len(self.data):
            raise self._bad("its sections overlap")
        sections = []
        for i, (name_at, kind, flags, addr, offset, size, *_) in enumerate(headers):
            if kind == 0:
                continue
            nobits = kind == _SHT_NOBITS
            if not nobits:
                self._check(offset, size, f"section {i}")
                self._end = max(self._end, offset + size)
            names_offset, names_size = headers[shstrndx][4:6]
            start = names_offset + name_at
            stop = self.data.find(b"\0", start, names_offset + names_size)
            if name_at >= names_size or stop < 0:
                raise self._bad(f"section {i} has no name")
            name = self.data[start:stop].decode("ascii", "backslashreplace")
            sections.append(Section(name, addr, offset, size, flags, nobits))
        return sections

    @property
    def end(self) -> int:
        """File offset behind the last byte that the ELF headers account for."""
        return self._end

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {s.name: s for s in reversed(self.sections)}

    def has_section(self, name: str) -> bool:
        return name in self._by_name

    def section(self, name: str) -> Section:
        """The section `name`; MissingFactError if there is none."""
        try:
            return self._by_name[name]
        except KeyError:
            raise MissingFactError(f"{self.where}: the kernel has no section {name}") from None

    def section_bytes(self, section: Section) -> bytes:
        """The section's bytes in the file; of .bss and the like, nothing."""
        return b"" if section.nobits else self.data[section.offset : section.offset + section.size]

    @property
    def loaded_sections(self) -> list[Section]:
        """The sections that occupy memory, in address order."""
        found = [s for s in self.sections if s.flags & _SHF_ALLOC and s.size]
        return sorted(found, key=lambda s: (s.addr, s.name))

    @cached_property
    def _starts(self) -> list[int]:
        return [s.vaddr for s in self.segments]

    def read(self, va: int, n: int) -> bytes:
        """`n` bytes of memory at link address `va` as loaded, before relocation; .bss reads as zeros."""
        out = bytearray()
        while len(out) < n:
            at = va + len(out)
            i = bisect_right(self._starts, at) - 1
            segment = self.segments[i] if i >= 0 else None
            if segment is None or at >= segment.vaddr + segment.memsz:
                raise UsageError(f"{self.where}: {n} bytes at {va:#x} are not in the kernel image")
            skip = at - segment.vaddr
            take = min(n - len(out), segment.memsz - skip)
            start = segment.offset + min(skip, segment.filesz)
            chunk = self.data[start : min(start + take, segment.offset + segment.filesz)]
            out += chunk
            out += bytes(take - len(chunk))
        return bytes(out)

    def physical(self, va: int) -> int:
        """Physical address at which the file asks to have link address `va` loaded."""
        i = bisect_right(self._starts, va) - 1
        if i < 0 or va >= self.segments[i].vaddr + self.segments[i].memsz:
            raise UsageError(f"{self.where}: address {va:#x} is not in the kernel image")
        return self.segments[i].paddr + va - self.segments[i].vaddr

    @cached_property
    def notes(self) -> list[Note]:
        """Every note of the loaded note segments (`.notes`)."""
        found = []
        for offset, size, va in self._notes_at:
            at, end = offset, offset + size
            while at + _NHDR.size <= end:
                namesz, descsz, kind = _NHDR.unpack_from(self.data, at)
                name_at = at + _NHDR.size
                desc_at = name_at + (namesz + 3 & ~3)
                if desc_at + descsz > end:
                    raise self._bad("a note runs beyond its segment")
                owner = self.data[name_at : name_at + namesz].rstrip(b"\0").decode("ascii", "replace")
                desc = self.data[desc_at : desc_at + descsz]
                found.append(Note(owner, kind, desc, va + desc_at - offset))
                at = desc_at + (descsz + 3 & ~3)
        return found

    @cached_property
    def build_id_note(self) -> Note:
        """The GNU build-id, by which a kernel is known; UsageError if the kernel has none."""
        for note in self.notes:
            if note.owner == "GNU" and note.type == _NT_GNU_BUILD_ID and len(note.desc) == 20:
                return note
        raise UsageError(
            f"{self.where}: the kernel has no 20-byte GNU build-id",
            hint="it was linked without --build-id=sha1; TinyVMI cannot recognise it in memory",
        )

    def digest(self, section: Section) -> str:
        """SHA-256 of the section's bytes in the file, hex."""
        return hashlib.sha256(self.section_bytes(section)).hexdigest()
