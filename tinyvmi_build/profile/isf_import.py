"""Profiles of kernels that lack BTF or kallsyms, with these from other files."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

from tinyvmi_build.elf.reader import SHF_EXECINSTR, SHF_WRITE
from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import SYMBOLS, read_file
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import read_kernel
from tinyvmi_build.kernel.symbols import Symbol, SymbolTable
from tinyvmi_build.kernel.unpack import XZ
from tinyvmi_build.profile.build import profile_of
from tinyvmi_build.profile.isf_read import isf_btf, isf_symbols, read_isf
from tinyvmi_build.profile.profile import KernelProfile

_MAX_SYMBOLS = 4 << 20


def import_kernel(kernel: Path, symbols: Path | None, types: Path | None) -> KernelProfile:
    """The profile of `kernel`; what is not given must be in it.

    `symbols`: a System.map or an ISF; `types`: a vmlinux with DWARF or BTF, or an
    ISF.  Raises UsageError if a file is none of these, or is of another kernel by its _text.
    """
    image = KernelImage(
        read_kernel(kernel),
        symbols=_symbols(symbols) if symbols else None,
        btf=_types(types) if types else None,
    )
    if any(letter == ord("?") for letter in image.symbols.types):
        image.symbols = _lettered(image)
    return profile_of(image)


def _lettered(image: KernelImage) -> SymbolTable:
    """The symbols with letters by the sections that they lie in: functions must differ from data."""
    sections = [s for s in image.elf.loaded_sections if s.addr >> 63]
    starts = [s.addr for s in sections]

    def letter(symbol: Symbol) -> str:
        at = bisect_right(starts, symbol.address) - 1
        if symbol.type != "?" or at < 0:
            return symbol.type
        section = sections[at]
        if section.flags & SHF_EXECINSTR:
            return "t"
        return "b" if section.nobits else "d" if section.flags & SHF_WRITE else "r"

    found = ((s.address, letter(s), s.name.encode("ascii", "backslashreplace")) for s in image.symbols)
    return SymbolTable.from_symbols(found, image.symbols.where)


def _symbols(path: Path) -> SymbolTable:
    data = read_file(path, SYMBOLS)
    is_isf = data.startswith((b"{", XZ))
    table = isf_symbols(read_isf(path), str(path)) if is_isf else system_map(data, str(path))
    for name in ("_text", "_end", "linux_banner"):
        if name not in table:
            raise UsageError(f"{path}: not the symbols of a kernel: no {name}", hint="give its System.map")
    return table


def system_map(data: bytes, where: str) -> SymbolTable:
    """The symbols in a System.map: `ADDRESS TYPE NAME` a line, as nm(1) prints them."""
    found = []
    for number, line in enumerate(data.splitlines()[:_MAX_SYMBOLS], 1):
        words = line.split()
        try:
            address, (kind, name) = int(words[0], 16), (words[1].decode("ascii"), words[2])
            if len(kind) != 1 or not 0 <= address < 1 << 64 or len(words) != 3:
                raise ValueError
        except (ValueError, IndexError):
            raise UsageError(
                f"{where}:{number}: not a line of a System.map", hint="a line is ADDRESS TYPE NAME"
            ) from None
        found.append((address, kind, name))
    return SymbolTable.from_symbols(found, where)


def _types(path: Path) -> Btf:
    from tinyvmi_build.kernel.dwarf import dwarf_btf
    from tinyvmi_build.kernel.elf import ElfFile

    data = read_file(path, SYMBOLS)
    if data[:4] != b"\x7fELF":
        return isf_btf(read_isf(path), str(path))
    try:
        elf = ElfFile(data, path.name)
        if elf.has_section(".BTF"):
            return Btf(elf.section_bytes(elf.section(".BTF")), path.name)
    except UsageError:
        pass  # an object file or a file with nothing but its debug sections: no kernel, but it may hold DWARF
    return dwarf_btf(path)
