"""System-call tables and policy strings."""

from __future__ import annotations

import struct

import pytest

from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.policy_globals import golden as policy_globals
from tinyvmi_build.checks.syscall_table import golden as syscall_table
from tinyvmi_build.kernel.relocs import RelocKind

TABLE = TEXT + 0x1000


def test_a_table_ends_where_its_relocations_do() -> None:
    symbols = FakeSymbols({"sys_call_table": TABLE, "next": TABLE + 64})
    functions = [TEXT + 16 * i for i in range(5)]
    relocs = [(TABLE + 8 * i, RelocKind.R64) for i in range(5)]
    image = FakeImage(symbols, {TABLE: struct.pack("<5Q", *functions)}, relocs)
    golden = syscall_table.compute(image)  # type: ignore[arg-type]
    assert golden.tables == (syscall_table.PointerTable("sys_call_table", TABLE, tuple(functions)),)


def test_a_table_ends_at_the_next_symbol() -> None:
    symbols = FakeSymbols({"sys_call_table": TABLE, "ia32_sys_call_table": TABLE + 16, "next": TABLE + 24})
    relocs = [(TABLE + 8 * i, RelocKind.R64) for i in range(9)]
    image = FakeImage(symbols, {TABLE: struct.pack("<3Q", 1, 2, 3)}, relocs)
    tables = syscall_table.compute(image).tables  # type: ignore[arg-type]
    assert [(t.symbol, t.expected) for t in tables] == [
        ("sys_call_table", (1, 2)),
        ("ia32_sys_call_table", (3,)),
    ]


def test_a_kernel_without_tables_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="no system-call table"):
        syscall_table.compute(FakeImage(FakeSymbols({"next": TABLE})))  # type: ignore[arg-type]


def test_policy_strings_have_the_packages_value() -> None:
    symbols = FakeSymbols({"modprobe_path": TABLE, "core_pattern": TABLE + 256})
    image = FakeImage(symbols, {TABLE: b"/sbin/modprobe\0", TABLE + 256: b"core\0"})
    strings = policy_globals.compute(image).strings  # type: ignore[arg-type]
    assert [(s.symbol, s.size, s.compiled) for s in strings] == [
        ("modprobe_path", 256, "/sbin/modprobe"),
        ("core_pattern", 128, "core"),
    ]


def test_no_policy_string_is_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        policy_globals.compute(FakeImage(FakeSymbols({})))  # type: ignore[arg-type]
