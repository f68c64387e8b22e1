"""One kernel, all facts together: what the golden values are computed from."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tinyvmi_build.elf.reader import Section
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.bzimage import unpack_bzimage
from tinyvmi_build.kernel.elf import ElfFile
from tinyvmi_build.kernel.kallsyms import parse_kallsyms
from tinyvmi_build.kernel.package import KernelFile, read_kernel
from tinyvmi_build.kernel.relocs import Relocations, RelocKind, parse_relocations
from tinyvmi_build.kernel.symbols import SymbolTable

_BANNER = re.compile(r"Linux version (\S+) ")
_MAX_CSTR = 4096


class KernelImage:
    """The facts of one kernel; all addresses are link addresses (as in System.map).

    `name` is its file's name, `compression` how it was packed ("none" for a vmlinux).
    `symbols` and `btf` stand in for the kernel's own.
    Raises UsageError if the file is no kernel, or lacks kallsyms, BTF or a build-id.
    """

    def __init__(self, file: KernelFile, *, symbols: SymbolTable | None = None, btf: Btf | None = None):
        self.name = file.name
        if file.data[:4] == b"\x7fELF":
            vmlinux, self.compression = file.data, "none"
        else:
            vmlinux, self.compression = unpack_bzimage(file.data, file.name)
        self.elf = ElfFile(vmlinux, file.name)
        self.build_id_va = self.elf.build_id_note.desc_va
        self.build_id = self.elf.build_id_note.desc.hex()
        rodata = self.elf.section(".rodata")
        if rodata.addr % 8:
            raise UsageError(f"{file.name}: .rodata is not aligned", hint="is the package damaged?")
        self.symbols = symbols or parse_kallsyms(self.elf.section_bytes(rodata), rodata.addr, file.name)
        if btf is None and not self.elf.has_section(".BTF"):
            raise UsageError(
                f"{file.name}: the kernel has no BTF (section .BTF), so its structures are unknown",
                hint="a kernel with CONFIG_DEBUG_INFO_BTF=y is needed, as distributions build them",
            )
        self.btf = btf or Btf(self.elf.section_bytes(self.elf.section(".BTF")), file.name)
        self.text_va = self.symbols.lookup("_text")
        self.end_va = self.symbols.lookup("_end")
        if not 0 < self.end_va - self.text_va <= 1 << 30:
            raise UsageError(
                f"{file.name}: _text and _end do not enclose a kernel", hint="is the package damaged?"
            )
        self.physical_start = self.elf.physical(self.text_va)
        self.banner = self.cstr(self.symbols.lookup("linux_banner")).rstrip("\n")
        match = _BANNER.match(self.banner)
        if not match or not self.banner.isprintable():
            raise UsageError(
                f"{file.name}: linux_banner does not name a release", hint="is the package damaged?"
            )
        self.release = match[1]

    @classmethod
    def load(cls, path: Path) -> KernelImage:
        """From a .deb, vmlinuz, vmlinux or folder."""
        return cls(read_kernel(path))

    @property
    def image_size(self) -> int:
        """Bytes from _text to _end, contiguous in physical memory."""
        return self.end_va - self.text_va

    @cached_property
    def relocs(self) -> Relocations:
        """The relocations that KASLR applies; empty if none are appended to the file."""
        return parse_relocations(self.elf.data[self.elf.end :], self.name)

    @cached_property
    def etext_va(self) -> int:
        """_etext, where the text ends."""
        return self.symbols.lookup("_etext")

    @property
    def relocs64(self) -> array[int]:
        return self.relocs.r64

    @property
    def relocs32(self) -> array[int]:
        return self.relocs.r32

    @property
    def inverse32(self) -> array[int]:
        return self.relocs.inverse32

    def is_code(self, va: int) -> bool:
        """Whether `va` lies in the kernel's text, behind which comes what is given back after the boot."""
        return self.text_va <= va < self.etext_va

    def relocs_in(self, start_va: int, end_va: int) -> list[tuple[int, RelocKind]]:
        """(address, kind) of each relocation that begins in start_va <= address < end_va, sorted."""
        return self.relocs.within(start_va, end_va)

    def read(self, va: int, n: int) -> bytes:
        """`n` bytes at `va` as loaded, before relocation; .bss reads as zeros."""
        return self.elf.read(va, n)

    def u64(self, va: int) -> int:
        return int.from_bytes(self.read(va, 8), "little")

    def u32(self, va: int) -> int:
        return int.from_bytes(self.read(va, 4), "little")

    def u16(self, va: int) -> int:
        return int.from_bytes(self.read(va, 2), "little")

    def cstr(self, va: int) -> str:
        """The NUL-terminated string at `va`, at most 4,095 bytes; bytes outside ASCII are escaped."""
        out = b""
        while len(out) < _MAX_CSTR:
            chunk, nul, _ = self.read(va + len(out), 64).partition(b"\0")
            out += chunk
            if nul:
                return out.decode("ascii", "backslashreplace")
        raise UsageError(f"{self.name}: no string ends within {_MAX_CSTR} bytes of {va:#x}")

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """(address, bytes) of what the file has at start <= address < end, segment by segment."""
        for segment in self.elf.segments:
            first, last = max(segment.vaddr, start), min(segment.vaddr + segment.filesz, end)
            if first < last:
                yield first, self.read(first, last - first)

    def section(self, name: str) -> Section:
        """The ELF section `name`; MissingFactError if there is none."""
        return self.elf.section(name)

    def section_bytes(self, name: str) -> bytes:
        """The bytes of section `name` in the file."""
        return self.elf.section_bytes(self.elf.section(name))
