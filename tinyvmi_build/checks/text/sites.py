"""The records of every site in .text that the kernel patches, as the package's file has them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.series import Series

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.source import CodeImage
    from tinyvmi_build.kernel.image import KernelImage

#: A section's name → its address and bytes; (0, b"") if there is none.
Table = Callable[[str], tuple[int, bytes]]

#: What the names of static calls' trampolines and keys begin with.
TRAMPOLINE, KEY = "__SCT__", "__SCK__"

#: Sections that hold no record of a patch site.  One that is not known may, so the kernel is unsupported.
_PASSIVE = frozenset(
    [
        *(".data..percpu", ".text", ".rodata", ".pci_fixup", ".tracedata", "__ksymtab", "__ksymtab_gpl"),
        *("__kcrctab", "__kcrctab_gpl", "__ksymtab_strings", "__kflagstab", "__init_rodata", "__param"),
        *("__modver", "__ex_table", ".notes", ".BTF", ".BTF_ids", ".data", "__bug_table", ".orc_header"),
        *(".orc_unwind_ip", ".orc_unwind", ".orc_lookup", ".vvar", ".init.text", ".altinstr_aux"),
        *(".init.data", ".x86_cpu_dev.init", ".iommu_table", ".altinstr_replacement", ".apicdrivers"),
        *(".exit.text", ".exit.data", ".data_nosave", ".bss", ".brk", ".init.scratch", ".builtin_fw"),
    ]
)
_ACTIVE = frozenset(
    [
        *(".parainstructions", ".retpoline_sites", ".return_sites", ".call_sites", ".ibt_endbr_seal"),
        *(".altinstructions", ".smp_locks"),
    ]
)


@dataclass(frozen=True)
class Alternative:
    """struct alt_instr: `feature` set (or, with `inverted`, clear) puts `repl` over `instr`."""

    instr: int
    repl: int
    feature: int
    inverted: bool
    direct_call: bool
    size: int
    repl_size: int


@dataclass(frozen=True)
class Jump:
    """struct jump_entry; `size` of the instruction, 2 or 5."""

    code: int
    target: int
    key: int
    branch: bool
    size: int


@dataclass(frozen=True)
class StaticCall:
    site: int
    key: int
    tail: bool


@dataclass(frozen=True)
class Runtime:
    """A constant put into an instruction at boot; `where` is the immediate."""

    where: int
    size: int
    symbol: str


@dataclass
class Sites:
    """Link addresses, in the order of the kernel's tables."""

    alternatives: list[Alternative] = field(default_factory=list)
    paravirt: list[tuple[int, int, int]] = field(default_factory=list)  # address, slot of pv_ops, size
    retpolines: list[int] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    endbrs: list[int] = field(default_factory=list)
    locks: list[int] = field(default_factory=list)
    jumps: list[Jump] = field(default_factory=list)
    static_calls: list[StaticCall] = field(default_factory=list)
    trampolines: list[tuple[int, int]] = field(default_factory=list)  # __SCT__, its key
    mcount: list[int] = field(default_factory=list)
    runtime: list[Runtime] = field(default_factory=list)


def read_sites(image: KernelImage, series: Series) -> Sites:
    """Every site whose instruction lies in the file; UnsupportedError if a table is not as expected."""
    for section in image.elf.loaded_sections:
        known = section.name in _PASSIVE or section.name in _ACTIVE or section.name.startswith("runtime_")
        if not known:
            raise UnsupportedError(
                f"the kernel has a section {section.name}, which this generator does not know"
            )
    sites = collect(image, series, lambda name: _table(image, name), _trampolines(image))
    if bool(sites.calls) != bool(series.call_thunks):
        raise UnsupportedError("whether this kernel counts its calls (.call_sites) is not as in its series")
    sites.runtime = list(_runtime(image))
    return sites


def collect(image: CodeImage, series: Series, table: Table, trampolines: Iterable[tuple[int, int]]) -> Sites:
    """The sites in the sections that `table` gives; `trampolines` are of static calls, with their keys."""
    sites = Sites()
    sites.alternatives = list(_alternatives(image, series, table))
    sites.paravirt = list(_paravirt(image, series, table))
    sites.retpolines = _relative(table, ".retpoline_sites")
    sites.returns = _relative(table, ".return_sites")
    sites.calls = _relative(table, ".call_sites")
    sites.endbrs = _relative(table, ".ibt_endbr_seal")
    sites.locks = _relative(table, ".smp_locks")
    sites.jumps = list(_jumps(image, table))
    sites.static_calls = list(_static_calls(image, table))
    sites.trampolines = list(trampolines)
    for va, _ in sites.trampolines:
        if image.read(va, 1)[0] not in (0xC3, 0xE9):
            raise UnsupportedError(f"the static call trampoline at {va:#x} has an unknown form")
    sites.mcount = _mcount(table)
    return sites


def _trampolines(image: KernelImage) -> Iterator[tuple[int, int]]:
    for symbol in image.symbols:
        if symbol.name.startswith(TRAMPOLINE):
            yield symbol.address, require(image, KEY + symbol.name.removeprefix(TRAMPOLINE))


#: Tables that a kernel has between two symbols.
_BOUNDS = {
    "__jump_table": ("__start___jump_table", "__stop___jump_table"),
    ".static_call_sites": ("__start_static_call_sites", "__stop_static_call_sites"),
    "__mcount_loc": ("__start_mcount_loc", "__stop_mcount_loc"),
}


def _table(image: KernelImage, name: str) -> tuple[int, bytes]:
    if bounds := _BOUNDS.get(name):
        if name == ".static_call_sites" and image.symbols.get(bounds[0]) is None:
            return 0, b""
        first, end = require(image, bounds[0]), require(image, bounds[1])
        if first > end:
            raise UnsupportedError(f"the table at {bounds[0]} ends before it begins")
        return first, image.read(first, end - first)
    if not image.elf.has_section(name):
        return 0, b""
    section = image.section(name)
    return section.addr, image.elf.section_bytes(section)


def _entries(table: Table, name: str, size: int) -> tuple[int, bytes]:
    va, data = table(name)
    if len(data) % size:
        raise UnsupportedError(f"{name} has {len(data)} bytes, which are no entries of {size}")
    return va, data


def _size(image: CodeImage, struct_name: str, expected: int) -> int:
    try:
        size = image.btf.sizeof(f"struct {struct_name}")
    except KeyError as why:
        raise UnsupportedError(f"struct {struct_name} is not described: {why}") from None
    if size != expected:
        raise UnsupportedError(f"struct {struct_name} has {size} bytes, {expected} were expected")
    return size


def _relative(table: Table, name: str) -> list[int]:
    """A section of s32, each counted from itself.  0 is padding."""
    va, data = _entries(table, name, 4)
    offsets = struct.unpack(f"<{len(data) // 4}i", data)
    return [va + 4 * i + offset for i, offset in enumerate(offsets) if offset]


def _alternatives(image: CodeImage, series: Series, table: Table) -> Iterator[Alternative]:
    wide = series.relocates
    size = _size(image, "alt_instr", 14 if wide else 12)
    va, data = _entries(table, ".altinstructions", size)
    for at in range(0, len(data), size):
        instr, repl = struct.unpack_from("<ii", data, at)
        if wide:
            feature, flags, length, repl_length = struct.unpack_from("<HHBB", data, at + 8)
            if flags & ~3:
                raise UnsupportedError(f"an alternative has flags {flags:#x}")
        else:
            cpuid, length, repl_length = struct.unpack_from("<HBB", data, at + 8)
            feature, flags = cpuid & 0x7FFF, cpuid >> 15
        if feature >= 32 * series.capability_words or (not wide and repl_length > length):
            raise UnsupportedError("an alternative is not as this generator expects")
        yield Alternative(
            instr=va + at + instr,
            repl=va + at + 4 + repl,
            feature=feature,
            inverted=bool(flags & 1),
            direct_call=bool(flags & 2),
            size=length,
            repl_size=repl_length,
        )


def _paravirt(image: CodeImage, series: Series, table: Table) -> Iterator[tuple[int, int, int]]:
    _, data = table(".parainstructions")
    if not data:
        return
    if series.paravirt == "alternatives":
        raise UnsupportedError("the kernel has .parainstructions, unlike others of its series")
    size = _size(image, "paravirt_patch_site", 16)
    # The linker ends the section behind the last entry's fields, not behind its padding.
    for at in range(0, len(data) - 9, size):
        va, slot, length = struct.unpack_from("<QBB", data, at)
        yield va, slot, length


def _jumps(image: CodeImage, table: Table) -> Iterator[Jump]:
    size = _size(image, "jump_entry", 16)
    va, data = _entries(table, "__jump_table", size)
    for at in range(0, len(data), size):
        code, target, key = struct.unpack_from("<iiq", data, at)
        code += va + at
        first = image.read(code, 1)[0]
        length = 2 if first in (0x66, 0xEB) and image.read(code, 2) != b"\x66\x66" else 5
        address = va + at + 8 + key
        yield Jump(code, target + va + at + 4, address & ~3, bool(address & 1), length)


def _static_calls(image: CodeImage, table: Table) -> Iterator[StaticCall]:
    if not table(".static_call_sites")[1]:
        return
    size = _size(image, "static_call_site", 8)
    va, data = _entries(table, ".static_call_sites", size)
    for at in range(0, len(data), size):
        site, key = struct.unpack_from("<ii", data, at)
        key += va + at + 4
        yield StaticCall(va + at + site, key & ~3, bool(key & 1))


def _mcount(table: Table) -> list[int]:
    _, data = _entries(table, "__mcount_loc", 8)
    return list(struct.unpack(f"<{len(data) // 8}Q", data))


def _runtime(image: KernelImage) -> Iterator[Runtime]:
    def section_table(name: str) -> tuple[int, bytes]:
        return _table(image, name)

    for section in image.elf.loaded_sections:
        if not section.name.startswith("runtime_"):
            continue
        kind, _, symbol = section.name.removeprefix("runtime_").partition("_")
        if kind not in ("ptr", "shift"):
            raise UnsupportedError(f"the kernel has run-time constants of an unknown kind ({section.name})")
        for where in _relative(section_table, section.name):
            yield Runtime(where, 8 if kind == "ptr" else 1, symbol)
