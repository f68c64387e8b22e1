"""The kernel's ELF file as the boot loader sees it: segments, sections, notes."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property

from tinyvmi_build.elf.notes import GNU_BUILD_ID, parse_notes
from tinyvmi_build.elf.reader import (
    PT_LOAD,
    PT_NOTE,
    SHF_ALLOC,
    SHT_NULL,
    Elf,
    ElfError,
    Section,
    Segment,
    elf_errors,
    read_header,
)
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.missing import MissingFactError

_MAX_SEGMENT = 1 << 30
_WHAT = "kernel ELF file"


@dataclass(frozen=True)
class KernelNote:
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
        with elf_errors(where, _WHAT):
            header = read_header(data)
        if not header.x86_64:
            raise UsageError(
                f"{where}: not an x86-64 kernel (ELF class {header.elf_class}, machine {header.machine})",
                hint="TinyVMI checks x86-64 Linux kernels only",
            )
        with elf_errors(where, _WHAT):
            self._elf = Elf(data)
            #: File offset behind the last byte that the ELF headers account for.
            self.end = self._elf.require_contents()
            self.segments = self._loads()
        self.sections = [s for s in self._elf.sections if s.type != SHT_NULL]

    def _loads(self) -> list[Segment]:
        loads = [s for s in self._elf.segments if s.type == PT_LOAD]
        for segment in loads:
            if not segment.filesz <= segment.memsz <= _MAX_SEGMENT or segment.vaddr + segment.memsz > 1 << 64:
                raise ElfError(f"the segment at {segment.vaddr:#x} has an impossible size")
        if not loads:
            raise ElfError("nothing in it is loaded")
        # The per-CPU template is linked at 0 (before 6.15) but loaded with the other segments: two addresses.
        high = next((s for s in loads if s.vaddr >> 63), None)
        if high:
            shift = high.vaddr - high.paddr
            loads += [
                replace(s, vaddr=s.paddr + shift)
                for s in loads
                if not s.vaddr >> 63 and s.paddr >= high.paddr
            ]
        return sorted(loads, key=lambda s: s.vaddr)

    def has_section(self, name: str) -> bool:
        return name in self._elf.by_name

    def section(self, name: str) -> Section:
        """The section `name`; MissingFactError if there is none."""
        try:
            return self._elf.by_name[name]
        except KeyError:
            raise MissingFactError(f"{self.where}: the kernel has no section {name}") from None

    def section_bytes(self, section: Section) -> bytes:
        """The section's bytes in the file; of .bss and the like, nothing."""
        return self._elf.content(section)

    @property
    def loaded_sections(self) -> list[Section]:
        """The sections that occupy memory, in address order."""
        found = [s for s in self.sections if s.flags & SHF_ALLOC and s.size]
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
    def notes(self) -> list[KernelNote]:
        """Every note of the loaded note segments (`.notes`)."""
        found = []
        for segment in (s for s in self._elf.segments if s.type == PT_NOTE):
            with elf_errors(self.where, _WHAT):
                for note in parse_notes(self.data[segment.offset : segment.offset + segment.filesz]):
                    found.append(KernelNote(note.owner, note.type, note.desc, segment.vaddr + note.desc_at))
        return found

    @cached_property
    def build_id_note(self) -> KernelNote:
        """The GNU build-id, by which a kernel is known; UsageError if the kernel has none."""
        for note in self.notes:
            if note.owner == "GNU" and note.type == GNU_BUILD_ID and len(note.desc) == 20:
                return note
        raise UsageError(
            f"{self.where}: the kernel has no 20-byte GNU build-id",
            hint="it was linked without --build-id=sha1; TinyVMI cannot recognise it in memory",
        )

    def digest(self, section: Section) -> str:
        """SHA-256 of the section's bytes in the file, hex."""
        return hashlib.sha256(self.section_bytes(section)).hexdigest()
