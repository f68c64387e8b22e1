"""What the core's objects show of its structure: no state but in contexts, no rings among units."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.core.conftest import core_include
from tinyvmi_build.paths import data_dir

FOLDERS = ("introspect", "checks", "monitor", "digest")
#: Each may use itself and what stands before it; digest and platform interfaces serve all.
LAYERS = ("introspect", "checks", "monitor")
#: Of a unit's own flags; others are compiled as in an image.
VECTORS = {"_sse41": ["-msse4.1"], "_avx2": ["-mavx2"], "_sha_ni": ["-msse4.1", "-msha"]}
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wstrict-prototypes",
    "-Wvla",
    "-Werror",
]


@dataclass
class Unit:
    """One C file of the core: what its object defines and wants, and which of it can be written to."""

    name: str  # relative to minios_app/
    defines: set[str] = field(default_factory=set)
    wants: set[str] = field(default_factory=set)
    mutable: set[str] = field(default_factory=set)


def read_unit(name: str, path: Path) -> Unit:
    unit = Unit(name)
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            section = symbol["st_shndx"]
            if not symbol.name or symbol["st_info"]["type"] in ("STT_FILE", "STT_SECTION"):
                continue
            if section == "SHN_UNDEF":
                unit.wants.add(symbol.name)
                continue
            if symbol["st_info"]["bind"] != "STB_LOCAL":
                unit.defines.add(symbol.name)
            kind = "common" if section == "SHN_COMMON" else elf.get_section(section).name
            if kind.startswith(("common", ".data", ".bss", ".tdata", ".tbss")):
                unit.mutable.add(symbol.name)
    return unit


def compile_unit(source: Path, target: Path, include: list[str]) -> None:
    flags = next((f for end, f in VECTORS.items() if source.stem.endswith(end)), ["-mgeneral-regs-only"])
    command = ["gcc", "-std=gnu11", "-O2", "-ffreestanding", "-fno-pie", "-fno-common", *WARNINGS, *flags]
    subprocess.run([*command, *include, "-c", str(source), "-o", str(target)], check=True)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> list[Unit]:
    folder = tmp_path_factory.mktemp("units")
    core = data_dir("minios_app")
    include = core_include(folder)
    found = []
    for source in sorted(path for name in FOLDERS for path in (core / name).rglob("*.c")):
        name = source.relative_to(core).as_posix()
        target = folder / name.replace("/", "_").replace(".c", ".o")
        compile_unit(source, target, include)
        found.append(read_unit(name, target))
    assert len(found) > 50
    return found


def uses(units: list[Unit]) -> dict[str, dict[str, str]]:
    """Unit → units that it uses, each with a symbol that shows it."""
    owner = {symbol: unit.name for unit in units for symbol in unit.defines}
    return {
        unit.name: {
            owner[symbol]: symbol
            for symbol in sorted(unit.wants)
            if symbol in owner and owner[symbol] != unit.name
        }
        for unit in units
    }


def cycles(graph: dict[str, dict[str, str]]) -> Iterator[list[str]]:
    """A way back to where it began, for each unit that has one."""
    for start in graph:
        ways = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            for following in graph[way[-1]]:
                if following == start:
                    yield [*way, start]
                    ways = []
                    break
                if following not in seen:
                    seen.add(following)
                    ways.append([*way, following])


def test_nothing_in_the_core_keeps_state_of_its_own(units: list[Unit]) -> None:
    """All of it is in struct monitor and in the checks' contexts, so that two runs share nothing."""
    assert {unit.name: sorted(unit.mutable) for unit in units if unit.mutable} == {}


def test_no_unit_uses_itself_through_others(units: list[Unit]) -> None:
    graph = uses(units)
    shown = [
        " → ".join(f"{unit} ({graph[unit][after]})" for unit, after in zip(way, way[1:], strict=False))
        + f" → {way[0]}"
        for way in cycles(graph)
    ]
    assert not shown, "rings:\n" + "\n".join(shown)


def test_folders_use_only_those_below_them(units: list[Unit]) -> None:
    wrong = [
        f"{unit} uses {symbol} of {used}"
        for unit, targets in uses(units).items()
        for used, symbol in targets.items()
        if unit.split("/")[0] in LAYERS
        and used.split("/")[0] in LAYERS
        and LAYERS.index(used.split("/")[0]) > LAYERS.index(unit.split("/")[0])
    ]
    assert wrong == []


def test_checks_use_no_other_check(units: list[Unit]) -> None:
    """But lib/, and modules, whose code is patched as the kernel's own, what the text check has."""

    def check_of(unit: str) -> str:
        parts = unit.removeprefix("checks/").split("/")
        return parts[0].removesuffix(".c")

    graph = uses(units)
    pairs = {
        (check_of(unit), check_of(used))
        for unit, targets in graph.items()
        for used in targets
        if unit.startswith("checks/") and used.startswith("checks/") and check_of(unit) != check_of(used)
    }
    assert {pair for pair in pairs if pair[1] != "lib"} == {("modules", "text")}


def test_a_check_neither_sleeps_nor_writes(units: list[Unit]) -> None:
    """The monitor decides when a step runs, and what is reported."""
    forbidden = {"tv_sleep_ns"}
    for unit in units:
        if unit.name.startswith(("checks/", "introspect/", "digest/")):
            assert not unit.wants & forbidden, unit.name
            assert not {name for name in unit.wants if name.startswith("tv_record_")}, unit.name
