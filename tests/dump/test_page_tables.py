"""Roots of page tables in real memory: a task with another view of the kernel, and lists that lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.dump.circumstances import named
from tests.dump.conftest import Checked, Memory
from tests.dump.text_subject import TextSubject
from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_host_checker

NEXT, PREV = 0, 8
MASK = 0xFFFFFFFFFF000


class Tasks:
    """The tasks of a dump, by physical address of what is to be changed."""

    def __init__(self, memory: Memory):
        self.memory = memory
        self.golden = memory.profile.golden(PageTablesGolden)

    def pa(self, va: int) -> int:
        """Through the kernel's own page tables, 4 levels."""
        table = self.memory.root_pa
        for shift in (39, 30, 21, 12):
            at = table + 8 * (va >> shift & 511)
            entry = struct.unpack("<Q", self.memory.bytes[at : at + 8])[0]
            assert entry & 1
            if shift == 12 or entry & 0x80:
                return int((entry & MASK & -(1 << shift)) | (va & ((1 << shift) - 1)))
            table = entry & MASK
        raise AssertionError

    def u64(self, va: int) -> int:
        at = self.pa(va)
        return int(struct.unpack("<Q", self.memory.bytes[at : at + 8])[0])

    def all(self) -> list[int]:
        head = self.golden.init_task + self.memory.delta
        found = [head]
        while (task := self.u64(found[-1] + self.golden.tasks) - self.golden.tasks) != head:
            found.append(task)
        return found

    def user(self) -> tuple[int, int]:
        """(a task of a program, virtual address of its root)."""
        for task in self.all():
            mm = self.u64(task + self.golden.mm)
            if mm:
                return task, self.u64(mm + self.golden.pgd)
        raise AssertionError("no program runs")

    @contextmanager
    def changed(self, va: int, value: int) -> Iterator[None]:
        at = self.pa(va)
        old = self.memory.bytes[at : at + 8]
        self.memory.bytes[at : at + 8] = struct.pack("<Q", value)
        try:
            yield
        finally:
            self.memory.bytes[at : at + 8] = old


@pytest.fixture
def tasks(memory: Memory) -> Tasks:
    return Tasks(memory)


def state(checked: Checked):
    return checked.collector.checks["page-tables"]


def test_tasks_are_walked(tasks: Tasks) -> None:
    found = tasks.all()
    assert len(found) > 20
    programs = {tasks.u64(task + tasks.golden.mm) for task in found} - {0}
    checked = tasks.memory.check()
    assert state(checked).verdict.value == "intact"
    assert state(checked).items >= len(programs) + 2  # init_mm and efi_mm or a processor's besides


@pytest.mark.parametrize("slot", [256, 273, 400, 511])
def test_one_entry_of_one_task(tasks: Tasks, slot: int) -> None:
    """An entry that is empty, or that leads to other tables, in the root of one program."""
    task, pgd = tasks.user()
    old = tasks.u64(pgd + 8 * slot)
    with tasks.changed(pgd + 8 * slot, (old ^ 0x1000) | 1):
        checked = tasks.memory.check()
    assert state(checked).verdict.value == "tampered"
    entries = {f["address"] for f in checked.findings("page-tables")}
    assert entries == {f"0x{pgd + 8 * slot:016x}"}
    finding = checked.findings("page-tables")[0]
    comm = tasks.memory.bytes[tasks.pa(task + tasks.golden.comm) :][:15].split(b"\0")[0].decode()
    pid = struct.unpack("<I", tasks.memory.bytes[tasks.pa(task + tasks.golden.pid) :][:4])[0]
    notes = [str(f["note"]) for f in checked.findings("page-tables")]
    assert f"task {comm} ({pid}): entry {slot} of its root is not the kernel's" in notes
    assert finding["actual"] == struct.pack("<Q", (old ^ 0x1000) | 1).hex()
    assert finding["expected"] == struct.pack("<Q", old).hex()


@pytest.mark.parametrize("slot", [0, 100, 255])
def test_the_programs_own_half_is_not_compared(tasks: Tasks, slot: int) -> None:
    _, pgd = tasks.user()
    with tasks.changed(pgd + 8 * slot, 0x67):
        assert tasks.memory.check().exit == 0


def test_the_accessed_bit_is_the_processors(tasks: Tasks) -> None:
    _, pgd = tasks.user()
    old = tasks.u64(pgd + 8 * 511)
    with tasks.changed(pgd + 8 * 511, old ^ 0x20):
        assert tasks.memory.check().exit == 0


def test_the_slot_of_an_ldt_is_nobodys_without_one(tasks: Tasks) -> None:
    _, pgd = tasks.user()
    with tasks.changed(pgd + 8 * 272, 0x1067):
        assert state(tasks.memory.check()).verdict.value == "tampered"


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("itself", "changed while it was read"),
        ("null", "could not be read"),
        ("user", "could not be read"),
        ("middle", "changed while it was read"),
    ],
)
def test_a_list_that_lies_is_unverifiable(tasks: Tasks, link: str, reason: str) -> None:
    found = tasks.all()
    node = found[5] + tasks.golden.tasks
    value = {"itself": node, "null": 0, "user": 0x400000, "middle": node - 4096 * 3 + 8}[link]
    with tasks.changed(node + NEXT, value):
        checked = tasks.memory.check()
    assert checked.exit == 3
    assert state(checked).verdict.value == "unverifiable"
    assert reason in state(checked).reason or "could not be read" in state(checked).reason


def test_a_ring_that_never_returns(tasks: Tasks) -> None:
    """Two tasks that lead to each other, consistently: bounded, and not intact."""
    found = [task + tasks.golden.tasks for task in tasks.all()]
    first, second = found[5], found[6]
    with (
        tasks.changed(second + NEXT, first),
        tasks.changed(first + PREV, second),
        tasks.changed(found[4] + NEXT, first),
    ):
        checked = tasks.memory.check()
    assert checked.exit == 3


def zero_frames(memory: Memory, count: int) -> list[int]:
    """Physical addresses of so many frames that hold nothing."""
    nothing = bytes(4096)
    found: list[int] = []
    for at in range(len(memory.bytes) - 4096, 0, -4096):
        if memory.bytes[at : at + 4096] == nothing:
            found.append(at)
            if len(found) == count:
                return found
    raise AssertionError("no empty frames")


def test_a_task_at_address_0(tasks: Tasks) -> None:
    """The list may lead wherever the kernel's tables map something: there, too, a root is compared."""
    memory, golden = tasks.memory, tasks.golden
    frames = zero_frames(memory, 5)
    upper, middle, lower, task, mm = frames
    last = tasks.all()[-1] + golden.tasks
    head = golden.init_task + memory.delta + golden.tasks
    values = [
        (upper, middle | 3),
        (middle, lower | 3),
        (lower, task | 3),
        (lower + 8, mm | 3),
        (task + golden.tasks + NEXT, head),
        (task + golden.tasks + PREV, last),
        (task + golden.mm, 0x1000),
        (mm + golden.pgd, 0x1000),  # its own page, of which the kernel's half is empty
    ]
    root = memory.root_pa
    old = memory.bytes[root : root + 8]
    try:
        for at, value in [*values, (root, upper | 3)]:
            memory.bytes[at : at + 8] = struct.pack("<Q", value)
        with tasks.changed(last + NEXT, golden.tasks):
            checked = memory.check()
    finally:
        memory.bytes[root : root + 8] = old
        for frame in frames:
            memory.bytes[frame : frame + 4096] = bytes(4096)
    assert state(checked).verdict.value == "tampered"
    assert str(checked.findings("page-tables")[0]["note"]).startswith("task  (0): entry ")


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> TextSubject:
    """A kernel under page-table isolation, this check alone."""
    folder = tmp_path_factory.mktemp("pti")
    subject = TextSubject(folder, "linux-image-cloud-amd64", "bookworm")
    others = [check for check in subject.profile.checks if check not in ("page-tables", "identity")]
    off = "".join(f"{check} = false\n" for check in others)
    (folder / "tinyvmi.toml").write_text(f'[kernel]\npackages = ["{subject.package}"]\n[checks]\n{off}')
    subject.checker = build_host_checker(load(folder / "tinyvmi.toml", env={}), profiles=subject.profiles)
    return subject


def test_the_root_for_user_mode_under_isolation(isolated: TextSubject, tmp_path_factory) -> None:
    """Haswell is affected by Meltdown: each root has a shadow, one page behind it, that user mode runs on."""
    dump = isolated.dump(named("haswell"))
    copy = tmp_path_factory.mktemp("pti") / "copy.raw"
    memory = Memory(dump, copy, isolated.profile, isolated.checker)
    try:
        tasks = Tasks(memory)
        assert state(memory.check()).verdict.value == "intact"
        _, pgd = tasks.user()
        old = tasks.u64(pgd + 4096 + 8 * 511)
        assert old and old != tasks.u64(pgd + 8 * 511)
        with tasks.changed(pgd + 4096 + 8 * 300, 0x67):
            checked = memory.check()
        assert state(checked).verdict.value == "tampered"
        assert any("user mode" in str(f["note"]) for f in checked.findings("page-tables"))
    finally:
        memory.close()
