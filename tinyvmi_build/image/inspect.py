"""What an image contains: sections, Xen's notes, its own description."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.elf.notes import parse_notes
from tinyvmi_build.elf.reader import (
    MAGIC,
    PT_LOAD,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHT_NOTE,
    Elf,
    elf_errors,
)
from tinyvmi_build.elf.reader import Section as ElfSection
from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import IMAGE, read_file
from tinyvmi_build.image import notes
from tinyvmi_build.kernel.unpack import unpack
from tinyvmi_build.render.descriptor import image_id


@dataclass(frozen=True)
class Section:
    """A section that is loaded; sizes in bytes."""

    name: str
    address: int
    size: int
    flags: str  # of "r", "w", "x"
    in_file: bool


@dataclass(frozen=True)
class Inspection:
    """An image.  `tinyvmi` is the object in its TinyVMI note, `image_id` the id made from that."""

    path: str
    sha256: str
    file_size: int
    compressed: bool
    elf_size: int
    entry: int
    memory_size: int
    symbols: int
    sections: list[Section]
    xen: dict[str, str]
    tinyvmi: dict[str, object] | None
    image_id: str | None


def inspect(path: Path) -> Inspection:
    """Look into an ELF image, gzipped or not; UsageError if it is no such image."""
    raw = read_file(path, IMAGE)
    compressed = raw[:2] == b"\x1f\x8b"
    data = unpack(raw, IMAGE.bytes_max, str(path)) if compressed else raw
    if data[:4] != MAGIC:
        raise UsageError(
            f"{path}: not an image of a monitor (no ELF, gzipped or not)",
            hint="`tinyvmi-build build` makes build/NAME/tinyvmi-NAME.gz",
        )
    with elf_errors(str(path), "image of a monitor"):
        return _inspect(path, raw, data, compressed)


def _inspect(path: Path, raw: bytes, data: bytes, compressed: bool) -> Inspection:
    elf = Elf(data)
    elf.require_contents()
    xen: dict[str, str] = {}
    tinyvmi = None
    for section in elf.sections:
        if section.type == SHT_NOTE:
            for note in parse_notes(elf.content(section)):
                decoded = notes.xen(note)
                if decoded:
                    xen[decoded[0]] = decoded[1]
                tinyvmi = notes.tinyvmi(note) or tinyvmi
    loads = [s for s in elf.segments if s.type == PT_LOAD]
    low = min((s.vaddr for s in loads), default=0)
    return Inspection(
        path=str(path),
        sha256=hashlib.sha256(raw).hexdigest(),
        file_size=len(raw),
        compressed=compressed,
        elf_size=len(data),
        entry=elf.header.entry,
        memory_size=max((s.vaddr + s.memsz for s in loads), default=0) - low,
        symbols=len(elf.symbols),
        sections=[_loaded(s) for s in elf.sections if s.flags & SHF_ALLOC],
        xen=xen,
        tinyvmi=tinyvmi,
        image_id=None if tinyvmi is None else image_id(tinyvmi),
    )


def _loaded(section: ElfSection) -> Section:
    flags = "r" + ("w" if section.flags & SHF_WRITE else "") + ("x" if section.flags & SHF_EXECINSTR else "")
    return Section(section.name, section.addr, section.size, flags, not section.nobits)
