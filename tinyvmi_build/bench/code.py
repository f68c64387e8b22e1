"""Whose code an image's is: the base's, the monitor's, what was generated; in bytes of machine code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

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
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        file = ""
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            kind = symbol["st_info"]["type"]
            if kind == "STT_FILE":
                file = symbol.name
            elif kind == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                local = symbol["st_info"]["bind"] == "STB_LOCAL"
                yield (file if local else "", symbol.name), symbol["st_size"]
