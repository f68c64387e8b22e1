"""Whose code an image's is: the base's, the monitor's, what was generated; in bytes of machine code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.elf.reader import SHN_UNDEF, STT_FILE, Elf, elf_errors

BASE, MONITOR, GENERATED = "base", "monitor", "generated"


def code_by_room(image: Path, objects: Path) -> dict[str, int]:
    """Room → bytes of functions in the ELF `image`, which was linked from the objects below `objects`.

    A function is its object's; one that is local is known by its file's name, too.
    """
    rooms: dict[tuple[str, str], str] = {}
    for path in sorted(objects.rglob("*.o")):
        room = _room(path)
        for key, _ in _functions(path):
            rooms[key] = room
    sizes = dict.fromkeys((BASE, MONITOR, GENERATED), 0)
    for key, size in _functions(image):
        if key in rooms:  # the table of symbols is no object's
            sizes[rooms[key]] += size
    return sizes


def _room(path: Path) -> str:
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
