"""Kernels that Debian ships, checked against what they say about themselves in other places.

The oracles are independent of the tables under test: exported symbols
(`__ksymtab`) for kallsyms, the initial task for BTF, the system-call table for relocations.
"""

import os
import struct

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.kernel.image import KernelImage

REAL = (
    ("linux-image-cloud-amd64", "bookworm"),
    ("linux-image-amd64", "bookworm"),
    ("linux-image-cloud-amd64", "bullseye"),
    ("linux-image-cloud-amd64", "trixie"),
)


@pytest.fixture(scope="session", params=REAL, ids=lambda p: f"{p[1]}-{p[0].removeprefix('linux-image-')}")
def real(request) -> KernelImage:
    """A kernel that Debian ships today."""
    from tinyvmi_build.lab.machine.packages import fetch_kernel

    try:
        package = fetch_kernel(*request.param)
    except MissingEnvironmentError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no package: {error.message}")
    return KernelImage.load(package)


def test_names_itself(real):
    assert f" {real.release} " in real.banner
    assert real.release in real.name
    assert len(bytes.fromhex(real.build_id)) == 20
    assert real.compression in ("xz", "lz4", "zstd", "gzip")
    assert real.physical_start == 0x1000000
    assert real.text_va == 0xFFFFFFFF81000000 == real.section(".text").addr


def test_kallsyms_agrees_with_the_exports(real):
    checked = 0
    for section in ("__ksymtab", "__ksymtab_gpl"):
        start = real.section(section).addr
        for at in range(0, real.section(section).size, 12):  # struct kernel_symbol, PREL32
            value, name, _ = struct.unpack("<3i", real.read(start + at, 12))
            exported = (start + at + value) % (1 << 64)
            found = {s.address for s in real.symbols.all(real.cstr(start + at + 4 + name))}
            assert exported in found
            checked += 1
    assert checked > 5_000


def test_kallsyms_agrees_with_the_sections(real):
    symbols = real.symbols
    assert len(symbols) > 50_000
    assert symbols.lookup("__start_rodata") == real.section(".rodata").addr
    assert symbols.lookup("__start_BTF") == real.section(".BTF").addr
    assert symbols.lookup("__start___ksymtab") == real.section("__ksymtab").addr
    assert symbols.nearest(symbols.lookup("linux_banner") + 7) == ("linux_banner", 7)
    for i in range(0, len(symbols), 200):
        assert symbols.nearest(symbols[i].address)[1] == 0


def test_per_cpu_symbols(real):
    per_cpu = [s for s in real.symbols if real.symbols.per_cpu(s)]
    assert {"runqueues", "cpu_tss_rw"} <= {s.name for s in per_cpu}
    assert all(s.absolute for s in per_cpu)


def test_btf_describes_the_initial_task(real):
    task = real.symbols.lookup("init_task")
    assert real.btf.array_length("task_struct", "comm") == 16
    assert real.cstr(task + real.btf.offset("task_struct", "comm")) == "swapper"
    stack = task + real.btf.offset("task_struct", "stack")
    assert real.u64(stack) == real.symbols.lookup("init_stack")
    assert stack in set(real.relocs64)
    mm = task + real.btf.offset("task_struct", "active_mm")
    assert real.u64(mm) == real.symbols.lookup("init_mm")
    assert real.btf.enum_value("system_states", "SYSTEM_BOOTING") == 0


def test_relocations_are_of_addresses(real):
    """Each site holds an address of the image.

    But boot code also addresses it physically, since 6.12 sorting `__mcount_loc` leaves zeros for
    functions that the linker dropped, and pti_init() rounds `_end` up to 2 MiB.
    """
    start, end = real.text_va, real.end_va
    others = [value for va in real.relocs64 if not start <= (value := real.u64(va)) <= end]
    assert all(value == 0 or start <= value + 0xFFFFFFFF80000000 <= end for value in others)
    assert len(others) < len(real.relocs64) / 100
    low_start, low_end = start & 0xFFFFFFFF, end & 0xFFFFFFFF
    others = [value for va in real.relocs32 if not low_start <= (value := real.u32(va)) <= low_end]
    assert all(value == 0 or low_start <= value | 0x80000000 < low_end + (2 << 20) for value in others)
    assert len(others) < 100
    table = real.symbols.lookup("sys_call_table")
    entry = real.relocs_in(table, table + 8 * 300)
    assert entry == [(table + 8 * i, "64") for i in range(300)]
    assert real.symbols.nearest(real.u64(table))[0] == "__x64_sys_read"
    assert len(real.inverse32) > 1_000
