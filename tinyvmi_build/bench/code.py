"""How much of an image's machine code is the built-in kernel's, the monitor's, generated; in bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.elf.reader import SHN_UNDEF, STT_FILE, Elf, elf_errors

BASE, MONITOR, GENERATED = "base", "monitor", "generated"


def code_by_part(image: Path, objects: Path) -> dict[str, int]:
    """Part → bytes of functions in the ELF `image`, which was linked from the objects below `objects`.

    A function belongs to its object; a local one is identified by its file's name, too.
    """
    parts: dict[tuple[str, str], str] = {}
    for path in sorted(objects.rglob("*.o")):
        part = _part(path)
        for key, _ in _functions(path):
            parts[key] = part
    sizes = dict.fromkeys((BASE, MONITOR, GENERATED), 0)
    for key, size in _functions(image):
        if key in parts:  # the table of symbols is in no object
            sizes[parts[key]] += size
    return sizes


def _part(path: Path) -> str:
    if "libbase.a.p" in path.parts:
        return BASE
    return GENERATED if "generated_" in path.name else MONITOR


def _functions(path: Path) -> Iterator[tuple[tuple[str, str], int]]:
    """((file if it is local, name), bytes) of each function, assembler's included."""
    file = ""
    with elf_errors(str(path), "object file"):
        for symbol in Elf(path.read_bytes()).symbols:
            if symbol.type == STT_FILE:
                file = symbol.name
            elif symbol.function and symbol.section != SHN_UNDEF:
                yield (file if symbol.local else "", symbol.name), symbol.size
