# SPDX-License-Identifier: MIT
"""Write the names of an image's functions as an assembly file for its second link.

    ksyms.py IMAGE.elf OUT.S

The table is what minios_app/kernel/symbols.c reads: pairs of 32-bit words
(address, offset of the name), sorted, closed by the end of text.
"""

import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile


def functions(path: str) -> tuple[list[tuple[int, str]], int]:
    """(address, name) of each function, sorted, one name an address; and the end of text."""
    with open(path, "rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        if table is None:
            sys.exit(f"ksyms: {path} has no symbol table")
        found: dict[int, str] = {}
        end = 0
        for symbol in table.iter_symbols():
            if symbol.name == "_etext":
                end = symbol["st_value"]
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                address = symbol["st_value"]
                found[address] = min(found.get(address, symbol.name), symbol.name)
    if not end or not found:
        sys.exit(f"ksyms: {path} has no functions or no _etext")
    return sorted(found.items()), end


def assembly(symbols: list[tuple[int, str]], end: int) -> str:
    rows, names, offset = [], [], 0
    for address, name in symbols:
        rows.append(f"    .long {address:#x}, {offset}")
        names.append(f'    .asciz "{name}"')
        offset += len(name) + 1
    return "\n".join(
        ['    .section .ksyms, "a", @progbits', "    .balign 4", *rows, f"    .long {end:#x}, 0"]
        + ['    .section .ksyms.str, "a", @progbits', *names]
        + ['    .section .note.GNU-stack, "", @progbits', ""]
    )


if __name__ == "__main__":
    image, out = sys.argv[1:]
    Path(out).write_text(assembly(*functions(image)), encoding="ascii")
