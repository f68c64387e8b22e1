"""Each format by its content; what is damaged, foreign or a lie gets one clear error."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dump.writers import PAGE, elf_core, lime, xen_core
from tinyvmi_build.dump.ranges import Image, map_text
from tinyvmi_build.dump.recognise import read_image
from tinyvmi_build.errors import TinyVMIError, UsageError

LOW = random.Random(1).randbytes(3 * PAGE)
HIGH = random.Random(2).randbytes(2 * PAGE)
PIECES = [(0, LOW), (0x100000000, HIGH)]


def image_of(tmp_path: Path, data: bytes, format: str | None = None) -> Image:
    path = tmp_path / "image"
    path.write_bytes(data)
    return read_image(path, format)


def memory(image: Image) -> dict[int, bytes]:
    """gfn → page, as the ranges lead to it."""
    data = image.path.read_bytes()
    return {
        r.gfn + i: data[r.offset + i * PAGE : r.offset + (i + 1) * PAGE]
        for r in image.ranges
        for i in range(r.count)
    }


EXPECTED = {
    **{i: LOW[i * PAGE : (i + 1) * PAGE] for i in range(3)},
    **{0x100000 + i: HIGH[i * PAGE : (i + 1) * PAGE] for i in range(2)},
}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (elf_core(PIECES), "ELF core (QEMU dump-guest-memory)"),
        (elf_core(PIECES[::-1]), "ELF core (QEMU dump-guest-memory)"),
        (elf_core(PIECES, xnum=True), "ELF core (QEMU dump-guest-memory)"),
        (xen_core(PIECES), "Xen core (xl dump-core)"),
        (xen_core(PIECES[::-1]), "Xen core (xl dump-core)"),
        (lime(PIECES), "LiME"),
    ],
)
def test_each_format(data: bytes, name: str, tmp_path: Path) -> None:
    image = image_of(tmp_path, data)
    assert image.format == name
    assert memory(image) == EXPECTED
    assert len(image.ranges) == 2 and image.frames == 5
    assert map_text(image.ranges).splitlines()[1].startswith(f"{0x100000} 2 ")


def test_raw(tmp_path: Path) -> None:
    image = image_of(tmp_path, bytes(2 << 20))
    assert image.format == "raw" and map_text(image.ranges) == "0 512 0\n"


def test_the_guest_may_not_choose_the_format_of_a_raw_image(tmp_path: Path) -> None:
    """Its first bytes are the guest's: with --format raw they are only memory."""
    data = lime([(0x200000, bytes(PAGE))]).ljust(1 << 20, b"\0")
    with pytest.raises(UsageError, match="no sound LiME header"):
        image_of(tmp_path, data)
    assert image_of(tmp_path, data, "raw").format == "raw"


def test_pages_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    image = image_of(tmp_path, lime([(0x800, LOW)]))
    assert {gfn: page for gfn, page in memory(image).items()} == {
        1: LOW[0x800 : 0x800 + PAGE],
        2: LOW[0x1800 : 0x1800 + PAGE],
    }


def test_a_mapping_of_the_same_bytes_is_no_conflict(tmp_path: Path) -> None:
    """dump-guest-memory with `paging` lists memory once for each mapping."""
    data = bytearray(elf_core([(0, LOW), (PAGE, b"")]))
    at = struct.unpack_from("<Q", data, 64 + 8)[0]
    struct.pack_into("<IIQQQQQQ", data, 64 + 56, 1, 0, at + PAGE, 0xFFFF0000, PAGE, PAGE, PAGE, 0)
    assert memory(image_of(tmp_path, bytes(data))) == {i: EXPECTED[i] for i in range(3)}


def test_a_copy_of_proc_vmcore_has_the_kernels_frames_twice(tmp_path: Path) -> None:
    """The kernel's own segment first, then all memory, which holds it too."""
    ram = b"".join(bytes([i]) * PAGE for i in range(64))
    kernel, inside = ram[16 * PAGE : 32 * PAGE], ram[20 * PAGE : 70 * PAGE]
    pieces = [(16 * PAGE, kernel), (0, ram), (20 * PAGE, inside + ram[:PAGE] * 4)]
    image = image_of(tmp_path, elf_core(pieces))
    found = memory(image)
    assert {gfn: page[0] for gfn, page in found.items()} == {i: i if i < 64 else 0 for i in range(68)}
    with pytest.raises(UsageError, match="the frame 0x1f twice, and they differ"):
        image_of(tmp_path, elf_core([*pieces, (31 * PAGE, b"x" * PAGE)]))


def test_frames_that_are_named_for_ever_are_refused(tmp_path: Path) -> None:
    data = bytearray(elf_core([(0, bytes(64 * PAGE)), *[(0, b"")] * 2000]))
    at = struct.unpack_from("<Q", data, 64 + 8)[0]
    for i in range(1, 2001):
        struct.pack_into("<QQQQ", data, 64 + 56 * i + 24, 0, 32 * PAGE, 32 * PAGE, 0)
        struct.pack_into("<Q", data, 64 + 56 * i + 8, at + PAGE)
    with pytest.raises(UsageError, match="again and again"):
        image_of(tmp_path, bytes(data))


def test_frames_that_xen_could_not_read_are_no_memory(tmp_path: Path) -> None:
    data = xen_core([(0, LOW)])
    hole = data.replace(struct.pack("<QQQ", 0, 1, 2), struct.pack("<QQQ", 0, (1 << 64) - 1, 2))
    assert hole != data
    assert sorted(memory(image_of(tmp_path, hole))) == [0, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "not a memory image: 6 bytes"),
        (bytes((1 << 20) + 1), "not a memory image: 1,048,577 bytes are 1 more than whole pages of 4,096"),
        (b"KDUMP   " + bytes(1 << 20), "a kdump-compressed dump, which cannot be read here"),
        (b"\x1f\x8b" + bytes(100), "compressed"),
        (b"TVMIPROF" + bytes(100), "a profile"),
        (elf_core(PIECES)[:40], "truncated or damaged: the ELF header is cut short"),
        (elf_core(PIECES)[:-1], "truncated: 1 bytes are missing"),
        (elf_core(PIECES)[:100], "program headers lie beyond the end"),
        (elf_core(PIECES, kind=2), "a vmlinux"),
        (elf_core(PIECES, machine=183), "another machine"),
        (elf_core([]), "holds no page of memory"),
        (elf_core([(1 << 46, LOW)]), "beyond 64 TiB"),
        (elf_core([((1 << 64) - PAGE, LOW)]), "beyond 64 TiB"),
        (elf_core([(0, LOW), (PAGE, HIGH)]), "the frame 0x1 twice"),
        (elf_core([(0, LOW), (0, HIGH)]), "the frame 0x0 twice, and they differ"),
        (xen_core(PIECES, pv=True), "PV guest"),
        (xen_core(PIECES, drop=".xen_pfn"), "without a list of its frames"),
        (xen_core(PIECES, page=8192), "pages of 8192 bytes"),
        (xen_core([(0, LOW), (0, HIGH)]), "twice"),
        (lime(PIECES)[:-5], "truncated: 5 bytes are missing"),
        (lime(PIECES) + b"EMiL", "truncated within a header"),
        (lime(PIECES).replace(b"EMiL\1", b"EMiL\2"), "no sound LiME header at byte 0"),
        (struct.pack("<4sIQQ8x", b"EMiL", 1, 0, (1 << 64) - 1), "bytes are missing"),
        (struct.pack("<4sIQQ8x", b"EMiL", 1, 9, 5), "no sound LiME header"),
    ],
)
def test_bad_files(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        image_of(tmp_path, data)
    assert message in error.value.message
    assert str(tmp_path / "image") in error.value.message and error.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_image(tmp_path / "nothing")


@pytest.mark.parametrize("make", [elf_core, xen_core, lime])
@settings(max_examples=400)
@given(damage=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_makes_an_error_or_ranges_within_the_file(make, damage, tmp_path_factory) -> None:
    data = bytearray(make(PIECES))
    for at, value in damage:
        data[at] = value
    path = tmp_path_factory.mktemp("damage") / "image"
    path.write_bytes(data)
    try:
        image = read_image(path)
    except TinyVMIError:
        return
    end = 0
    for r in image.ranges:
        assert r.gfn >= end and r.count > 0 and 0 <= r.offset <= len(data) - r.count * PAGE
        end = r.gfn + r.count


def test_millions_of_single_pages_are_few_ranges(tmp_path: Path) -> None:
    """xl dump-core lists each page; 2 GiB of consecutive ones are one range."""
    from array import array

    from tinyvmi_build.dump.elf import _runs

    ranges = list(_runs(array("Q", [*range(0x80000), *range(0x100000, 0x180000)]), PAGE))
    assert [(r.gfn, r.count, r.offset) for r in ranges] == [
        (0, 0x80000, PAGE),
        (0x100000, 0x80000, PAGE + 0x80000 * PAGE),
    ]
