"""Memory of every shape: 1 GiB leaves, 5 levels, isolation on and off, RAM above 4 GiB with holes.

In each of them a clean kernel is intact, and one tamper of each check is caught.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dump.conftest import KERNELS, NONCE, Checked, Memory, Subject, checked_under
from tests.dump.live import PCI_HOLE, Live
from tinyvmi_build.checks.lib.walk import physical
from tinyvmi_build.checks.page_tables import tamper as page_tables
from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.timeouts import timeout

GIB = 1 << 30
PRESENT, WRITABLE, LEAF = 1, 2, 0x80
_ADDRESS = 0x000FFFFFFFFFF000


@dataclass(frozen=True)
class Shape:
    """How a guest is booted, and what must be true of it then."""

    cpu: str = "qemu64"
    extra: str = ""
    memory_mib: int = 256
    levels: int = 4
    pti: bool = False
    leaf: int = 2 << 20  # the largest of the direct mapping


SHAPES = {
    # QEMU's first 3 GiB end at the PCI hole; what is allocated first lies above 4 GiB.
    "1-gib-leaves-above-4-gib": Shape(cpu="qemu64,+pdpe1gb", memory_mib=7168, leaf=GIB),
    "2-mib-leaves-above-4-gib": Shape(memory_mib=7168),
    "5-levels": Shape(cpu="max", levels=5),
    "5-levels-1-gib-leaves": Shape(cpu="max", memory_mib=7168, levels=5, leaf=GIB),
    "isolation": Shape(extra="pti=on", pti=True),
    "no-isolation": Shape(cpu="Haswell", extra="nopti"),
}


def _one_of_each_check() -> list[Any]:
    found: dict[str, Change] = {}
    for change in changes():
        if change.caught_by and not change.hides_kernel and not change.modules:
            found.setdefault(change.caught_by, change)
    usual = ("text", "syscall-table")  # the others take --long
    return [
        *(pytest.param(c, marks=[] if by in usual else [pytest.mark.long]) for by, c in found.items()),
        page_tables.TASK,
    ]


class Shaped:
    """Memory of a guest that was stopped, changed where it lies (`tinyvmi_build.checks.tamper.Guest`)."""

    def __init__(self, live: Live, subject: Subject):
        self.profile = subject.profile
        self._checker = subject.checker
        self._live = live
        self._map = live.memory.with_name("map")
        self._file = live.memory.open("r+b")
        self._bytes = mmap.mmap(self._file.fileno(), 0)
        self.clean = self.check(live.map())
        kernel = self.clean.collector.kernel
        assert kernel is not None
        self.delta = int(kernel["delta"], 16)
        self.root = int(kernel["root_pa"], 16)
        self.levels = int(kernel["levels"])

    def check_changed(self, change: Change) -> Checked:
        """What the checker reports while `change` is made."""
        return checked_under(change, self, self.check)

    def check(self, frames: str = "") -> Checked:
        """Judge it; `frames`: which there are (--map), all by default."""
        self._map.write_text(frames or self._live.map())
        argv = [str(self._checker), "--map", str(self._map), str(self._live.memory), NONCE]
        done = subprocess.run(argv, capture_output=True, timeout=timeout(300), check=False)
        assert done.returncode >= 0 and not done.stderr, done.stderr
        collector, records = Collector(NONCE), []
        for line in done.stdout.splitlines():
            for event in collector.feed(line):
                if (record := getattr(event, "record", None)) is not None:
                    records.append(record.body)
        collector.end()
        return Checked(done.returncode, collector, records)

    def written(self) -> str:
        """The frames that the guest has ever written, the others left out: what the file has no holes for."""
        lines, at, size = [], 0, len(self._bytes)
        while at < size:
            try:
                start = os.lseek(self._file.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole until the end
                break
            at = os.lseek(self._file.fileno(), start, os.SEEK_HOLE)
            for low, high, gap in ((0, PCI_HOLE, 0), (PCI_HOLE, size, 4 * GIB - PCI_HOLE)):
                first, end = max(start, low), min(at, high)
                if first < end:
                    lines.append(f"{(first + gap) >> 12} {(end - first) >> 12} {first}\n")
        return "".join(lines)

    def leaf(self, link_va: int) -> tuple[int, int, int]:
        """(physical address, size of the leaf that maps it, physical address of its entry)."""
        va = link_va + self.delta & (1 << 64) - 1
        table = self.root
        for level in range(self.levels, 0, -1):
            shift = 12 + 9 * (level - 1)
            at = table + 8 * (va >> shift & 511)
            entry = int.from_bytes(self.physical(at, 8), "little")
            assert entry & PRESENT
            if level == 1 or entry & LEAF:
                return physical(self.physical, self.root, va, self.levels), 1 << shift, at
            table = entry & _ADDRESS
        raise AssertionError

    def free(self, size: int, above: int) -> tuple[int, int]:
        """(virtual, physical address) of two zero pages under a leaf of `size`, at `above` or higher."""
        for va, pa, leaf in self._leaves(self.root, self.levels, 0):
            at = pa + leaf // 2 & -8192
            if leaf == size and pa >= above and self.physical(at, 8192) == bytes(8192):
                return va + at - pa, at
        raise AssertionError(f"no leaf of {size:#x}")

    def _leaves(self, table: int, level: int, base: int) -> Iterator[tuple[int, int, int]]:
        """The large leaves of the kernel's half, up in addresses: (virtual, physical address, size)."""
        shift = 12 + 9 * (level - 1)
        whole = level == self.levels
        for n in range(256 if whole else 0, 512):
            entry = int.from_bytes(self.physical(table + 8 * n, 8), "little")
            if not entry & PRESENT:
                continue
            va = base | n << shift | (-1 << (shift + 9) & (1 << 64) - 1 if whole else 0)
            if level < 4 and entry & LEAF:
                yield va, entry & _ADDRESS & -(1 << shift), 1 << shift
            elif level > 2:
                yield from self._leaves(entry & _ADDRESS, level - 1, va)

    def physical(self, pa: int, size: int) -> bytes:
        return self._bytes[self._at(pa) : self._at(pa) + size]

    def put(self, pa: int, data: bytes) -> None:
        self._bytes[self._at(pa) : self._at(pa) + len(data)] = data

    def read(self, link_va: int, size: int) -> bytes:
        return self.physical(self.leaf(link_va)[0], size)

    def write(self, link_va: int, data: bytes) -> None:
        self.put(self.leaf(link_va)[0], data)

    def close(self) -> None:
        self._bytes.close()
        self._file.close()

    @staticmethod
    def _at(pa: int) -> int:
        assert pa < PCI_HOLE or pa >= 4 * GIB
        return pa if pa < PCI_HOLE else pa - (4 * GIB - PCI_HOLE)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name == "1-gib-leaves-above-4-gib" else [pytest.mark.long])
        for name in SHAPES
    ],
)
def shaped(
    request: pytest.FixtureRequest, subject: Subject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shape, Shaped]]:
    shape = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("shape")
    package = fetch_kernel(*KERNELS[0])
    with Live(package, folder, memory_mib=shape.memory_mib, extra=shape.extra, cpu=shape.cpu) as live:
        live.stop()
        memory = Shaped(live, subject)
        yield shape, memory
        memory.close()


def test_it_has_that_shape_and_is_intact(shaped: tuple[Shape, Shaped]) -> None:
    shape, memory = shaped
    assert memory.clean.exit == 0, memory.clean.records
    assert memory.levels == shape.levels
    golden = memory.profile.golden(PageTablesGolden)
    word = memory.read(golden.capabilities + golden.pti // 32 * 4, 4)
    assert bool(struct.unpack("<I", word)[0] >> golden.pti % 32 & 1) is shape.pti
    ((pgd, _),) = page_tables.TASK.patches(memory)
    assert (memory.leaf(pgd)[0] >= 4 * GIB) is (shape.memory_mib > 4096), "what is allocated first lies high"


def test_a_root_that_lies_under_a_large_leaf(shaped: tuple[Shape, Shaped]) -> None:
    """A task's root is moved there, whole: intact.  Then one entry of it is changed: tampered."""
    shape, memory = shaped
    va, pa = memory.free(shape.leaf, 4 * GIB if shape.memory_mib > 4096 else 0)
    ((field, _),) = page_tables.TASK.patches(memory)
    old = memory.read(field, 8)
    root = memory.read(int.from_bytes(old, "little") - memory.delta, 8192)  # with the one for user mode
    memory.put(pa, root)
    memory.write(field, struct.pack("<Q", va))
    moved = memory.check()
    memory.put(pa + 8 * 300, struct.pack("<Q", pa | PRESENT | WRITABLE))
    changed = memory.check()
    memory.put(pa, bytes(8192))
    memory.write(field, old)
    assert moved.exit == 0, moved.records
    assert changed.exit == 5
    assert {f["address"] for f in changed.findings("page-tables")} == {f"0x{va + 8 * 300:016x}"}


@pytest.mark.parametrize("change", _one_of_each_check(), ids=lambda change: change.name)
def test_one_tamper_of_each_check_is_caught(shaped: tuple[Shape, Shaped], change: Change) -> None:
    _, memory = shaped
    checked = memory.check_changed(change)
    assert checked.exit == 5
    assert change.caught_by and checked.findings(change.caught_by)


def test_a_mapping_made_writable_is_caught(shaped: tuple[Shape, Shaped]) -> None:
    _, memory = shaped
    for symbol in ("_text", "linux_banner"):
        va = memory.profile.symbols.lookup(symbol)
        at = memory.leaf(va)[2]
        old = memory.physical(at, 8)
        memory.put(at, struct.pack("<Q", struct.unpack("<Q", old)[0] | WRITABLE))
        checked = memory.check()
        memory.put(at, old)
        assert checked.exit == 5
        assert any("mapped writable" in str(r.get("note")) for r in checked.records), checked.records
    assert memory.check().exit == 0


def test_frames_that_were_never_written_may_be_missing(shaped: tuple[Shape, Shaped]) -> None:
    """All memory in pieces, with holes wherever the guest has put nothing: nothing is missed."""
    shape, memory = shaped
    frames = memory.written()
    present = sum(int(line.split()[1]) for line in frames.splitlines())
    assert present < shape.memory_mib << 8, "the file has no holes; the test shows nothing"
    assert len(frames.splitlines()) > 4
    assert memory.check(frames).exit == 0
    undo = page_tables.TASK.apply(memory)
    checked = memory.check(frames)
    undo()
    assert checked.exit == 5 and checked.findings("page-tables")


def test_a_hole_where_the_kernel_is_is_said(shaped: tuple[Shape, Shaped]) -> None:
    """The frame of a task's address space taken away: unverifiable, neither intact nor tampered."""
    _, memory = shaped
    ((pgd, _),) = page_tables.TASK.patches(memory)
    missing = memory.leaf(pgd)[0] >> 12
    lines = []
    for first, count, offset in (map(int, line.split()) for line in memory.written().splitlines()):
        if first <= missing < first + count:
            lines.append((first, missing - first, offset))
            lines.append((missing + 1, first + count - missing - 1, offset + ((missing - first + 1) << 12)))
        else:
            lines.append((first, count, offset))
    checked = memory.check("".join(f"{a} {n} {at}\n" for a, n, at in lines if n))
    assert checked.exit == 3
    assert checked.collector.checks["page-tables"].verdict.value == "unverifiable"


def test_the_whole_kernel_under_one_leaf(subject: Subject, tmp_path: Path) -> None:
    """Its 1 GiB of addresses mapped by one leaf, as it lies: every byte is right, and all is writable."""
    dump = raw_dump(fetch_kernel(*KERNELS[0]), DumpOptions(extra="nokaslr"))
    memory = Memory(dump, tmp_path / "copy.raw", subject.profile, subject.checker)
    try:
        assert memory.check().exit == 0
        assert (memory.delta, memory.text_pa) == (0, memory.profile.text_va & GIB - 1)
        table = int.from_bytes(memory.bytes[memory.root_pa + 8 * 511 :][:8], "little") & _ADDRESS
        entry = table + 8 * (memory.profile.text_va >> 30 & 511)
        memory.bytes[entry : entry + 8] = struct.pack("<Q", PRESENT | WRITABLE | LEAF | 0x60)
        checked = memory.check()
    finally:
        memory.close()
    assert checked.exit == 5
    assert any("mapped writable" in str(r.get("note")) for r in checked.records)
