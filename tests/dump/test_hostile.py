"""Memory that lies: every walk ends in a verdict, no byte of it crashes the checker."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import ninja
import pytest

from tests.dump.conftest import Memory, Subject, leaf_entry, run_checker
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.image.build import CHECKER_TARGET
from tinyvmi_build.paths import data_dir

STEP = 2 << 20


@pytest.fixture(scope="module")
def sanitized(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker with the compiler's address and undefined-behaviour checks."""
    generated = subject.checker.parent.parent / "generated"
    folder = tmp_path_factory.mktemp("sanitized")
    options = ["-Db_sanitize=address,undefined", "-Dc_args=-fno-sanitize-recover=all", "-Db_lundef=false"]
    options += ["-Doptimization=1", "-Ddebug=true", f"-Dgenerated={generated}"]
    command = [
        sys.executable,
        "-m",
        "mesonbuild.mesonmain",
        "setup",
        *options,
        folder,
        data_dir("minios_app"),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command = [Path(ninja.BIN_DIR) / "ninja", "-C", folder, CHECKER_TARGET]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / CHECKER_TARGET


def test_the_sanitized_checker_agrees(memory: Memory, sanitized: Path) -> None:
    assert run_checker(sanitized, memory.path).exit == 0


def test_no_kernel(memory: Memory, tmp_path: Path) -> None:
    empty = tmp_path / "empty.raw"
    empty.touch()
    os.truncate(empty, 64 << 20)
    checked = memory.check(empty)
    assert checked.exit == 3
    assert [r["type"] for r in checked.records] == ["hello", "waiting", "bye"]


def test_a_truncated_image_holds_no_kernel(memory: Memory, tmp_path: Path) -> None:
    """Cut within .rodata: the build-id may be there, what confirms it is not."""
    golden = memory.profile.golden(RodataGolden)
    cut = tmp_path / "cut.raw"
    cut.write_bytes(memory.bytes[: memory.pa(golden.va + golden.size // 2)])
    assert memory.check(cut).exit == 3


def test_a_page_that_is_not_present_is_unverifiable(memory: Memory) -> None:
    """Neither tampered nor intact: nobody knows what is there."""
    golden = memory.profile.golden(RodataGolden)
    entry = leaf_entry(memory.bytes, memory.root_pa, golden.va + golden.size - 1 + memory.delta)
    old = memory.bytes[entry : entry + 8]
    memory.bytes[entry : entry + 8] = bytes(8)
    checked = memory.check()
    memory.bytes[entry : entry + 8] = old
    assert checked.exit == 3
    assert checked.collector.checks["rodata"].verdict.value == "unverifiable"
    assert "not present" in checked.collector.checks["rodata"].reason


def test_a_kernel_that_still_boots(memory: Memory) -> None:
    va = memory.profile.discovery.system_state_va
    old = memory.read(va, 4)
    memory.write(va, bytes(4))
    checked = memory.check()
    memory.write(va, old)
    assert checked.exit == 3
    assert checked.records[-2] == {"type": "waiting", "reason": "the kernel is still booting"}


def test_decoys_are_not_believed(memory: Memory) -> None:
    """A page with the right build-id below the real kernel, as a copy of the image in the page cache has."""
    offset = memory.profile.discovery.build_id_va - memory.profile.text_va
    places = [
        pa
        for pa in range(0, memory.text_pa, STEP)
        if not memory.text_pa - STEP < pa + offset < memory.text_pa
    ]
    assert places
    saved = [(pa + offset, memory.bytes[pa + offset : pa + offset + 20]) for pa in places[:8]]
    for at, _ in saved:
        memory.bytes[at : at + 20] = bytes.fromhex(memory.profile.build_id)
    checked = memory.check()
    for at, old in saved:
        memory.bytes[at : at + 20] = old
    assert checked.exit == 0
    assert checked.collector.kernel is not None
    assert int(checked.collector.kernel["text_pa"], 16) == memory.text_pa


@pytest.mark.parametrize("value", [0, 0xFFFFFFFFFFFFFFFF, 0x80, "itself"])
def test_page_tables_that_lead_nowhere(memory: Memory, value: int | str) -> None:
    """The kernel's top-level entry empty, all ones, a reserved large page, or pointing at its own table."""
    entry = memory.root_pa + 8 * 511
    old = memory.bytes[entry : entry + 8]
    new = value if isinstance(value, int) else memory.root_pa | 0x67
    memory.bytes[entry : entry + 8] = struct.pack("<Q", new)
    checked = memory.check()
    memory.bytes[entry : entry + 8] = old
    assert checked.exit == 3  # not found: its own tables do not map it


def test_random_damage_to_page_tables(memory: Memory, sanitized: Path) -> None:
    """Noise in the tables that map the kernel: any verdict but intact, and no crash."""
    rng = random.Random(7)
    level3 = (
        struct.unpack("<Q", memory.bytes[memory.root_pa + 4088 : memory.root_pa + 4096])[0] & 0xFFFFFFFFFF000
    )
    level2 = struct.unpack("<Q", memory.bytes[level3 + 8 * 510 : level3 + 8 * 511])[0] & 0xFFFFFFFFFF000
    saved = memory.bytes[level2 : level2 + 4096]
    for _ in range(30):
        memory.bytes[level2 : level2 + 4096] = rng.randbytes(4096)
        assert run_checker(sanitized, memory.path).exit in (3, 5)
    memory.bytes[level2 : level2 + 4096] = saved
    assert memory.check().exit == 0


def test_a_page_remapped_to_a_changed_copy(memory: Memory) -> None:
    """What the processors see is checked: the original frame keeps every golden byte."""
    table = memory.profile.golden(SyscallTableGolden).tables[0].va
    entry = leaf_entry(memory.bytes, memory.root_pa, table + memory.delta)
    old = memory.bytes[entry : entry + 8]
    value = struct.unpack("<Q", old)[0]
    size = STEP if value & 0x80 else 4096
    original, copy = memory.pa(table) & -size, STEP  # the copy lies in low memory that nothing here reads
    saved = memory.bytes[copy : copy + size]
    memory.bytes[copy : copy + size] = memory.bytes[original : original + size]
    at = copy + memory.pa(table) - original
    memory.bytes[at : at + 8] = bytes(8)
    memory.bytes[entry : entry + 8] = struct.pack("<Q", value & ~(0xFFFFFFFFFF000 & -size) | copy)
    checked = memory.check()
    memory.bytes[entry : entry + 8] = old
    memory.bytes[copy : copy + size] = saved
    assert checked.exit == 5
    assert checked.collector.checks["syscall-table"].findings == 1
    assert checked.collector.checks["rodata"].findings == 1
