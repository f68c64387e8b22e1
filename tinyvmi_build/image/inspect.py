"""What an image says about itself."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import IMAGE, read_file
from tinyvmi_build.image import notes
from tinyvmi_build.kernel.unpack import unpack
from tinyvmi_build.render.descriptor import image_id

_ALLOC, _WRITE, _EXEC = 2, 1, 4


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
    tinyvmi: dict[str, Any] | None
    image_id: str | None


def inspect(path: Path) -> Inspection:
    """Look into an ELF image, gzipped or not; UsageError if it is none."""
    raw = read_file(path, IMAGE)
    compressed = raw[:2] == b"\x1f\x8b"
    data = unpack(raw, IMAGE.bytes_max, str(path)) if compressed else raw
    if data[:4] != b"\x7fELF":
        raise UsageError(
            f"{path}: not an image of a monitor (no ELF, gzipped or not)",
            hint="`tinyvmi-build build` makes build/NAME/tinyvmi-NAME.gz",
        )
    try:
        return _inspect(path, raw, data, compressed)
    except Exception as error:  # pyelftools raises whatever its parser runs into
        raise UsageError(f"{path}: a damaged ELF file: {error or type(error).__name__}") from error


def _inspect(path: Path, raw: bytes, data: bytes, compressed: bool) -> Inspection:
    elf = ELFFile(io.BytesIO(data))
    if elf.elfclass != 64 or not elf.little_endian or elf["e_machine"] != "EM_X86_64":
        raise ValueError("not for x86-64")
    xen: dict[str, str] = {}
    tinyvmi = None
    sections = []
    symbols = 0
    for section in elf.iter_sections():
        flags = section["sh_flags"]
        if section["sh_type"] == "SHT_NOTE":
            for note in notes.parse(section.data()):
                decoded = notes.xen(note)
                if decoded:
                    xen[decoded[0]] = decoded[1]
                tinyvmi = notes.tinyvmi(note) or tinyvmi
        if section["sh_type"] == "SHT_SYMTAB":
            symbols = section["sh_size"] // section["sh_entsize"]
        if flags & _ALLOC:
            sections.append(
                Section(
                    section.name,
                    section["sh_addr"],
                    section["sh_size"],
                    "r" + ("w" if flags & _WRITE else "") + ("x" if flags & _EXEC else ""),
                    section["sh_type"] != "SHT_NOBITS",
                )
            )
    loads = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
    low = min((s["p_vaddr"] for s in loads), default=0)
    return Inspection(
        path=str(path),
        sha256=hashlib.sha256(raw).hexdigest(),
        file_size=len(raw),
        compressed=compressed,
        elf_size=len(data),
        entry=elf["e_entry"],
        memory_size=max((s["p_vaddr"] + s["p_memsz"] for s in loads), default=0) - low,
        symbols=symbols,
        sections=sections,
        xen=xen,
        tinyvmi=tinyvmi,
        image_id=None if tinyvmi is None else image_id(tinyvmi),
    )
