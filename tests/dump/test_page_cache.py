"""Later scans compare with what an earlier one kept: they see all that a first scan sees."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dump.conftest import KERNELS, Memory, Subject, make_subject
from tests.dump.live import Watcher
from tinyvmi_build.checks.ro_after_init.golden import RoAfterInitGolden
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.tamper import Change, changes
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites
from tinyvmi_build.checks.text.site_kinds import Kind

PAGE = 4096
SEED = 20_261_125
TAMPERS = [c for c in changes() if c.caught_by and not c.modules and not c.hides_kernel]


class Watched:
    """A kernel's memory, and a monitor that scans it again and again."""

    def __init__(self, memory: Memory, watcher: Watcher):
        self.memory = memory
        self.watcher = watcher
        self.places = PatchSites(memory.profile.golden(TextGolden))

    def verdict(self, check: str) -> str:
        return str(self.watcher.collector.checks[check].verdict)

    def tells(self, check: str, writes: list[tuple[int, bytes]]) -> list[dict[str, object]]:
        """The findings of `check` with `writes` (link address, bytes) made; undone, it is intact again."""
        old = [(va, self.memory.read(va, len(data))) for va, data in writes]
        before = len(self.watcher.records)
        for va, data in writes:
            self.memory.write(va, data)
        try:
            self.watcher.until(lambda: self.verdict(check) == "tampered")
        finally:
            for va, data in reversed(old):
                self.memory.write(va, data)
        found = [r for r in self.watcher.records[before:] if r["type"] == "finding" and r["check"] == check]
        self.watcher.until(lambda: self.verdict(check) == "intact")
        return found

    def passes(self, writes: list[tuple[int, bytes]], scans: int = 3) -> None:
        """With `writes` made the next scans are intact."""
        before = len(self.watcher.records)
        for va, data in writes:
            self.memory.write(va, data)
        self.watcher.scans(scans)
        assert [r for r in self.watcher.records[before:] if r["type"] == "finding"] == []


@pytest.fixture(scope="module")
def watched(memory: Memory) -> Iterator[Watched]:
    with Watcher(memory.checker, memory.path, period_ms=10) as watcher:
        watcher.scans(2)
        yield Watched(memory, watcher)


def test_a_later_scan_costs_a_fraction_of_the_first(watched: Watched) -> None:
    beats = [r["uptime_ms"] for r in watched.watcher.records if r["type"] == "heartbeat"]
    watched.watcher.scans(5)
    beats = [r["uptime_ms"] for r in watched.watcher.records if r["type"] == "heartbeat"]
    later = min(b - a for a, b in zip(beats, beats[1:], strict=False))
    assert later * 2 < beats[0], beats


@pytest.mark.parametrize("change", TAMPERS, ids=lambda c: c.name)
def test_a_tamper_after_the_first_scan(watched: Watched, change: Change) -> None:
    assert change.caught_by
    assert watched.tells(change.caught_by, change.patches(watched.memory))


@pytest.mark.parametrize("kind", [TextGolden, RodataGolden, RoAfterInitGolden], ids=lambda k: k.CHECK)
def test_random_bytes(watched: Watched, kind: type[Any]) -> None:
    golden, check = watched.memory.profile.golden(kind), kind.CHECK
    rng = random.Random(SEED)
    tried = 0
    while tried < 8:
        va = golden.va + rng.randrange(golden.size)
        old = watched.memory.read(va, 1)
        if check == "ro-after-init" and not _is_checked(watched.memory, va):
            continue
        found = watched.tells(check, [(va, bytes([old[0] ^ rng.randrange(1, 256)]))])
        running = va + watched.memory.delta
        assert any(0 <= running - int(str(f["address"]), 16) < 128 for f in found), (hex(va), found)
        tried += 1


def _is_checked(memory: Memory, va: int) -> bool:
    """Whether a single scan sees a change of this byte: some of ro_after_init may have any value."""
    old = memory.read(va, 1)
    memory.write(va, bytes([old[0] ^ 0x55]))
    seen = memory.check().exit == 5
    memory.write(va, old)
    return seen


def test_the_part_of_a_place_on_the_next_page(watched: Watched) -> None:
    """It belongs to the place, which begins on a page that has not changed."""
    crossing = [p for p in watched.places.all if p.va % PAGE + p.size > PAGE]
    assert crossing
    for place in crossing[:12]:
        last = place.va + place.size - 1
        old = watched.memory.read(last, 1)
        found = watched.tells("text", [(last, bytes([old[0] ^ 0x10]))])
        assert [f["kind"] for f in found][0] == place.name


def _key_with_one_place(watched: Watched) -> tuple[int, PatchSite]:
    jumps = watched.places.of(Kind.JUMP_LABEL)
    keys = [p.jump[1] for p in jumps if p.jump]
    return next((p.jump[1], p) for p in jumps if p.jump and p.size == 5 and keys.count(p.jump[1]) == 1)


def test_a_key_without_its_places(watched: Watched) -> None:
    """No page of code has changed, but what must stand there has."""
    key, place = _key_with_one_place(watched)
    value = int.from_bytes(watched.memory.read(key, 4), "little")
    (finding,) = watched.tells("text", [(key, (0 if value else 1).to_bytes(4, "little"))])
    assert (finding["kind"], int(str(finding["address"]), 16)) == (
        "jump-label",
        place.va + watched.memory.delta,
    )


def test_a_key_with_its_places(watched: Watched) -> None:
    """What the kernel does when it switches something: intact before, with and after it."""
    key, place = _key_with_one_place(watched)
    value, code = watched.memory.read(key, 4), watched.memory.read(place.va, 5)
    assert place.jump
    jump = b"\xe9" + (place.jump[0] - place.va - 5 & 0xFFFFFFFF).to_bytes(4, "little")
    other = bytes.fromhex("0f1f440000") if code == jump else jump
    toggled = (0 if any(value) else 1).to_bytes(4, "little")
    # The two writes are far apart, as the kernel's are; what falls between them is read a second time.
    watched.passes([(place.va, other), (key, toggled)])
    watched.passes([(key, value), (place.va, code)])


def test_a_change_of_place_and_key_that_do_not_agree(watched: Watched) -> None:
    """The place as it was, after the key was switched there and back with it."""
    _, place = _key_with_one_place(watched)
    (finding,) = watched.tells("text", [(place.va, b"\xcc" + watched.memory.read(place.va, 5)[1:])])
    assert finding["kind"] == "jump-label"


def _memory_records(watcher: Watcher) -> list[dict[str, object]]:
    return [record for record in watcher.records if record["type"] == "memory"]


def test_too_little_memory_for_all_copies(memory: Memory) -> None:
    """It is reported once, and what is not kept is checked by its digest."""
    with Watcher(memory.checker, memory.path, period_ms=10) as watcher:
        watcher.scans(2)
        needs = watcher.address_space
        assert _memory_records(watcher) == []
    with Watcher(memory.checker, memory.path, period_ms=10, address_space=needs - (4 << 20)) as watcher:
        watcher.scans(3)
        (reported,) = _memory_records(watcher)
        assert reported["digested"] and reported["cached"]
        watched = Watched(memory, watcher)
        for change in (c for c in TAMPERS if c.caught_by in ("text", "rodata")):
            assert change.caught_by
            assert watched.tells(change.caught_by, change.patches(memory))
        assert _memory_records(watcher) == [reported]


@pytest.fixture(scope="module")
def digested(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("digested")
    return make_subject(folder, *KERNELS[0], settings='[golden]\ncomparison = "digest"\n')


def test_nothing_is_cached(digested: Subject, tmp_path: Path) -> None:
    """With `golden.comparison = "digest"` the same is reported."""
    copy = Memory(digested.dump, tmp_path / "copy.raw", digested.profile, digested.checker)
    with Watcher(digested.checker, copy.path, period_ms=10) as watcher:
        watcher.scans(2)
        watched = Watched(copy, watcher)
        for change in (c for c in TAMPERS if c.caught_by in ("text", "rodata")):
            assert change.caught_by
            assert watched.tells(change.caught_by, change.patches(copy))
        needs = watcher.address_space
    with Watcher(digested.checker, copy.path, period_ms=10, address_space=needs) as watcher:
        watcher.scans(2)
        assert _memory_records(watcher) == []  # no memory for copies was asked for
    copy.close()
