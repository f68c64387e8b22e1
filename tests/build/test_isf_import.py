"""Kernels without BTF or kallsyms: types from an ISF or DWARF, symbols from an ISF or a System.map."""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tinyvmi_build.checks.function_pointers.golden import FunctionPointersGolden
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.cli.main import run
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.bzimage import unpack_bzimage
from tinyvmi_build.kernel.dwarf import dwarf_btf
from tinyvmi_build.kernel.elf import ElfFile
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import read_kernel
from tinyvmi_build.profile.build import profile_of
from tinyvmi_build.profile.isf import isf, save_isf
from tinyvmi_build.profile.isf_import import import_kernel, system_map
from tinyvmi_build.profile.isf_read import isf_btf, isf_symbols, read_isf
from tinyvmi_build.profile.isf_types import isf_types
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile

# The structures that the golden values need, as the kernel declares them, and some harder ones.
C_SOURCE = r"""
#include <stddef.h>
#include <stdio.h>
struct idt_bits { unsigned short ist : 3, zero : 5, type : 5, dpl : 2, p : 1; } __attribute__((packed));
struct idt_data { unsigned int vector; unsigned int segment; struct idt_bits bits; const void *addr; };
enum system_states { SYSTEM_BOOTING, SYSTEM_SCHEDULING, SYSTEM_FREEING_INITMEM, SYSTEM_RUNNING, SYSTEM_HALT,
                     SYSTEM_POWER_OFF, SYSTEM_RESTART, SYSTEM_SUSPEND };
struct tk_read_base { void *clock; unsigned long mask, cycle_last; unsigned int mult, shift;
                      unsigned long xtime_nsec; long base; unsigned long base_real; };
struct tk_fast { unsigned int seq; struct tk_read_base base[2]; } tk_fast;
enum wide { BELOW = -3, BIG = 1ll << 40 };
typedef struct { int counter; } atomic_t;
struct later;
struct node { struct node *next; struct later *seen; int (*call)(struct node *); };
struct later { char text[3][5]; union { atomic_t a; struct { short low, high; }; }; long tail; };
struct idt_data idt; enum system_states states; enum wide wide; struct node node; struct later later;
int main(void)
{
    printf("{\"idt_data.addr\": %zu, \"idt_data.bits\": %zu, \"node.call\": %zu, \"later.high\": %zu,"
           " \"later.tail\": %zu, \"later.a.counter\": %zu, \"idt_data\": %zu, \"later\": %zu}",
           offsetof(struct idt_data, addr), offsetof(struct idt_data, bits), offsetof(struct node, call),
           offsetof(struct later, high), offsetof(struct later, tail), offsetof(struct later, a.counter),
           sizeof(struct idt_data), sizeof(struct later));
    return 0;
}
"""


@pytest.fixture(scope="module")
def whole(cloud_kernel: Path) -> KernelProfile:
    return profile_of(KernelImage(read_kernel(cloud_kernel)))


@pytest.fixture(scope="module")
def bare(cloud_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real kernel with its BTF and kallsyms made unfindable."""
    file = read_kernel(cloud_kernel)
    vmlinux, _ = unpack_bzimage(file.data, file.name)
    digits = b"\0".join(str(d).encode() for d in range(10)) + b"\0"
    assert digits in vmlinux
    hidden = bytearray(vmlinux.replace(digits, b"?" * len(digits)))
    btf = ElfFile(vmlinux, "vmlinux").section(".BTF")
    start, _, _, _, _, _, count = struct.unpack_from("<QIHHHHH", vmlinux, 40)
    (header,) = [
        at for at in range(start, start + 64 * count, 64)
        if struct.unpack_from("<Q", vmlinux, at + 24)[0] == btf.offset
        and struct.unpack_from("<I", vmlinux, at + 4)[0] == 1
    ]  # fmt: skip
    hidden[header + 4 : header + 8] = bytes(4)  # SHT_NULL: there is no such section
    path = tmp_path_factory.mktemp("bare") / "vmlinux"
    path.write_bytes(hidden)
    return path


@pytest.fixture(scope="module")
def table(whole: KernelProfile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("isf") / "guest.json.xz"
    save_isf(whole, path)
    return path


@pytest.fixture(scope="module")
def map_file(whole: KernelProfile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "System.map"
    path.write_text("".join(f"{s.address:016x} {s.type} {s.name}\n" for s in whole.symbols))
    return path


@pytest.fixture(scope="module", params=["-gdwarf-5", "-gdwarf-4", "-gdwarf-3"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dwarf")
    (folder / "types.c").write_text(C_SOURCE)
    command = ["gcc", "-g", request.param, "-gno-strict-dwarf", "-o", "types", "types.c"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "types"


def test_the_bare_kernel_cannot_be_used_alone(bare: Path, table: Path, map_file: Path) -> None:
    for symbols, types in ((None, None), (map_file, None), (None, table)):
        with pytest.raises(UsageError, match="no BTF|no kallsyms"):
            import_kernel(bare, symbols, types)


def answers(kernel: KernelProfile, but: type[Any] | None = None) -> dict[str, Any]:
    """What the profile has of each check, but of one; not the bytes: the hidden tables lie in .rodata."""
    return {
        check: kernel.stored_golden(check)
        for check in kernel.checks
        if check != FunctionPointersGolden.CHECK and (but is None or check != but.CHECK)
    }


def test_types_and_symbols_from_our_own_isf(bare: Path, whole: KernelProfile, table: Path) -> None:
    """An ISF keeps one symbol of each name: fewer functions may be called through pv_ops, never more.

    It has no types of functions, which choose some pointers' alternatives.
    """
    imported = import_kernel(bare, table, table)
    # Which of several symbols of one name is kept decides what is seen as a table.
    tables = [kernel.golden(FunctionPointersGolden).tables for kernel in (whole, imported)]
    assert abs(tables[0] - tables[1]) < 0.02 * tables[0]
    ours, theirs = whole.values(TextGolden), imported.values(TextGolden)
    if isinstance(ours, TextGolden):
        assert isinstance(theirs, TextGolden)
        all_of_them, named_once = set(ours.paravirt.functions), set(theirs.paravirt.functions)
        assert named_once <= all_of_them and len(named_once) > 0.9 * len(all_of_them)
        assert replace(theirs.paravirt, functions=()) == replace(ours.paravirt, functions=())
        # The entries of functions, of which some share their name.
        assert theirs.code.sites == ours.code.sites and theirs.code.jumps == ours.code.jumps
        assert replace(theirs, paravirt=ours.paravirt, code=ours.code) == ours
    assert answers(imported, but=TextGolden) == answers(whole, but=TextGolden)
    assert imported.build_id == whole.build_id
    assert imported.golden(RodataGolden).pages.relocs == whole.golden(RodataGolden).pages.relocs
    assert imported.blob("relocs64") == whole.blob("relocs64")


def test_symbols_from_a_system_map(
    bare: Path, whole: KernelProfile, table: Path, map_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.profile"
    words = [
        "profile",
        "import",
        str(bare),
        "--symbols",
        str(map_file),
        "--types",
        str(table),
        "-o",
        str(out),
    ]
    assert run(words) == 0
    imported = ProfileFile.load(out).kernels[0]
    assert answers(imported) == answers(whole)
    assert list(imported.symbols) == list(whole.symbols)


def test_every_type_survives_the_way_there_and_back(whole: KernelProfile) -> None:
    first = isf_types(Btf(whole.blob("btf"), "kernel"))
    second = isf_types(isf_btf(isf(whole), "isf"))
    named = [n for n in first.user_types if not n.startswith("unnamed_") and "@" not in n]
    assert len(named) > 5000

    def layout(types: dict, name: str) -> object:  # type: ignore[type-arg]
        fields = {
            re.sub("unnamed_field.*", "", k): (f["offset"], f["type"]["kind"], f["type"].get("bit_length"))
            for k, f in types[name]["fields"].items()
        }
        return types[name]["size"], types[name]["kind"], fields

    for name in named:
        assert layout(first.user_types, name) == layout(second.user_types, name), name
    for name, enum in first.enums.items():
        if not name.startswith("unnamed_") and "@" not in name:
            assert second.enums[name]["constants"] == enum["constants"], name


def test_dwarf_says_what_the_compiler_did(program: Path) -> None:
    btf = dwarf_btf(program)
    facts = json.loads(subprocess.run([program], capture_output=True, check=True).stdout)
    assert len(facts) == 8
    for path, value in facts.items():
        name, _, member = path.partition(".")
        found = btf.offset(f"struct {name}", member) if member else btf.sizeof(f"struct {name}")
        assert found == value, path
    assert btf.enum("enum system_states")["SYSTEM_RUNNING"] == 3
    assert btf.enum("enum wide") == {"BELOW": -3, "BIG": 1 << 40}
    bits = btf.member("struct idt_bits", "dpl")
    assert (bits.bit_offset, bits.bits) == (13, 2)
    assert btf.array_length("struct later", "text") == 3 and btf.sizeof("struct later", "text") == 15
    assert btf.sizeof("atomic_t") == 4


def test_a_real_kernel_with_types_from_dwarf(
    bare: Path, whole: KernelProfile, map_file: Path, program: Path
) -> None:
    imported = import_kernel(bare, map_file, program)
    assert imported.discovery == whole.discovery
    for check in ("identity", "idt", "syscall-table", "policy-globals", "rodata"):
        assert imported.stored_golden(check) == whole.stored_golden(check), check


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither an ELF file nor JSON"),
        (b"\xfd7zXZ\0damaged", "cannot be decompressed"),
        (b"[]", "not a Volatility 3 symbol table"),
        (
            b'{"base_types": {}, "user_types": {}, "enums": 3, "symbols": {}}',
            "not a Volatility 3 symbol table",
        ),
    ],
)
def test_what_is_no_symbol_table(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=message):
        read_isf(path)


def test_damaged_symbol_tables_make_one_clear_error() -> None:
    integer = {"size": 4, "signed": True, "kind": "int", "endian": "little"}
    good = {
        "base_types": {"int": integer},
        "user_types": {"s": {"kind": "struct", "size": 4, "fields": {"a": {"offset": 0, "type": {
            "kind": "base", "name": "int"}}}}},
        "enums": {"e": {"size": 4, "base": "int", "constants": {"X": 1}}},
        "symbols": {"a": {"address": 5}},
    }  # fmt: skip
    assert isf_btf(good, "t").offset("struct s", "a") == 0
    text, refused = json.dumps(good), 0
    for old in (
        '"int"',
        '"base"',
        '"struct"',
        '"size": 4',
        '"offset": 0',
        '"X": 1',
        '"address": 5',
        '"kind"',
    ):
        for new in ("null", "-1", '"x"', "[]", "1e999", '"kind": {}'):
            try:
                table = json.loads(
                    text.replace(old, old.partition(":")[0] + ": " + new if ":" in old else new)
                )
            except ValueError:
                continue
            try:
                isf_btf(table, "t")
                isf_symbols(table, "t")
            except UsageError:
                refused += 1
    assert refused > 10
    loop: dict[str, object] = {"kind": "base", "name": "int"}
    for _ in range(100):
        loop = {"kind": "pointer", "subtype": loop}
    good["user_types"]["s"]["fields"]["a"]["type"] = loop  # type: ignore[index]
    with pytest.raises(UsageError, match="nested too deeply"):
        isf_btf(good, "t")


@pytest.mark.parametrize(
    "line", ["zz T _text", "ffffffff81000000 T", "1ffffffffffffffff T a", "8 TT a", "-8 T a"]
)
def test_a_bad_line_of_a_system_map_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="m:2: not a line"):
        system_map(f"ffffffff81000000 T _text\n{line}\n".encode(), "m")


def test_symbols_of_no_kernel(bare: Path, table: Path, tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    path.write_text("ffffffff81000000 T _text\n")
    with pytest.raises(UsageError, match="no _end"):
        import_kernel(bare, path, table)
    assert run(["profile", "import", str(bare), "-o", str(tmp_path / "p")]) == 2


def test_damaged_dwarf(program: Path, tmp_path: Path) -> None:
    data, rng = program.read_bytes(), random.Random(9)
    start = data.index(b"idt_bits") - 2000
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(20):
            broken[rng.randrange(max(start, 64), len(data))] = rng.randrange(256)
        path = tmp_path / "broken"
        path.write_bytes(broken)
        try:
            btf = dwarf_btf(path)
            isf_types(btf)
        except UsageError:
            continue
    subprocess.run(["strip", "-o", str(path), str(program)], check=True)
    with pytest.raises(UsageError, match="no DWARF"):
        dwarf_btf(path)
