"""Call-depth tracking (retbleed=stuff) in modules: calls lead to the accounting in front of functions."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.dump.conftest import Memory
from tests.dump.module_subject import LOADED, ModuleSubject, ModuleTarget, check_after
from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.text.calls import calls_of
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch import branch
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites
from tinyvmi_build.checks.text.site_kinds import Kind

KERNELS = [("linux-image-amd64", "trixie"), ("linux-image-cloud-amd64", "sid")]
MODULES = ("nf_tables", "btrfs", "bridge", "nf_conntrack")


@pytest.fixture(scope="module", params=KERNELS, ids=lambda k: f"{k[1]}-{k[0][12:]}")
def memory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    subject = ModuleSubject(tmp_path_factory.mktemp("call-depth"), *request.param)
    dump = subject.dump(LOADED, "retbleed=stuff", "Skylake-Server")
    copy = Memory(
        dump, tmp_path_factory.mktemp("call-depth-memory") / "copy.raw", subject.profile, subject.checker
    )
    yield copy
    copy.close()


def _calls(target: ModuleTarget, memory: Memory) -> list[int]:
    """Addresses of the calls of a module that are counted."""
    code = target.module.golden.code
    first, pages = target.pages()[0], len(code.call_index) - 1
    found = {first + page * PAGE + at for page in range(pages) for at in calls_of(code, page)}
    return sorted(found)


def _pad(memory: Memory) -> int:
    return len(memory.profile.golden(TextGolden).call_pad.code)


def _bytes(memory: Memory, va: int, size: int) -> bytes:
    return b"".join(memory.read(va + i, 1) for i in range(size))


def _target(memory: Memory, call: int) -> int:
    return call + 5 + int(struct.unpack("<i", _bytes(memory, call + 1, 4))[0])


def test_counted_modules_are_intact(memory: Memory) -> None:
    checked = memory.check()
    assert checked.exit == 0, checked.records
    state = checked.collector.checks["modules"]
    assert state.findings == 0 and state.reason == "" and state.items > 1000


@pytest.mark.parametrize("name", MODULES)
def test_calls_and_the_accounting(memory: Memory, name: str) -> None:
    """Each call that is counted leads to the accounting; past it, or before it, is a finding each."""
    target, size = ModuleTarget(memory, name), _pad(memory)
    calls = _calls(target, memory)
    assert len(calls) > 100
    changes = []
    for n, call in enumerate(calls[:: len(calls) // 12][:12]):
        assert _bytes(memory, call, 1) == b"\xe8"
        wrong = _target(memory, call) + (size, -size, 16)[n % 3]  # uncounted, before it, another function
        changes.append((call, b"\xe8" + struct.pack("<i", wrong - call - 5)))
    checked = check_after(memory, changes, memory.check)
    assert checked.collector.checks["modules"].findings >= len({va // 128 for va, _ in changes})
    assert {f["kind"] for f in checked.findings("modules")} == {"text-bytes"}
    assert memory.check().exit == 0


def test_what_stands_in_front_of_a_function(memory: Memory) -> None:
    """The accounting may come to a function that nothing called yet; anything else may not."""
    target, size = ModuleTarget(memory, "nf_tables"), _pad(memory)
    first, last = target.pages()[0], target.pages()[0] + target.module.golden.sizes[Area.TEXT]
    own = sorted({t for c in _calls(target, memory) if first <= (t := _target(memory, c)) < last})
    pad = _bytes(memory, own[0], size)
    quiet = next(
        va - size for va in target.places.functions if _bytes(memory, va - size, size) == b"\x90" * size
    )
    # The displacement of the accounting is relative, if it has one.
    moved = bytearray(pad)
    for offset, kind, _ in memory.profile.golden(TextGolden).call_pad.fixes:
        if kind == 0:
            value = struct.unpack_from("<i", pad, offset)[0] + own[0] - quiet
            struct.pack_into("<i", moved, offset, value)
    assert check_after(memory, [(quiet, bytes(moved))], memory.check).exit == 0
    for wrong in (bytes([*pad[:-1], pad[-1] ^ 1]), b"\xcc" * size, pad[:-1] + b"\x90"):
        checked = check_after(memory, [(own[0], wrong)], memory.check)
        assert checked.collector.checks["modules"].findings >= 1, wrong


def test_a_static_call_of_a_modules_function(memory: Memory) -> None:
    """As static_call_update() does it: calls go through the accounting, jumps to the function itself."""
    target, size = ModuleTarget(memory, "nf_tables"), _pad(memory)
    places = PatchSites(memory.profile.golden(TextGolden))
    by_key: dict[int, list[PatchSite]] = {}
    for kind in (Kind.STATIC_CALL, Kind.TRAMPOLINE):
        for place in places.of(kind):
            by_key.setdefault(places.call_key(place), []).append(place)
    key, mine = next(
        (key, found)
        for key, found in by_key.items()
        if [_bytes(memory, p.va, 1) for p in found].count(b"\xe8") == len(found) - 1 > 0
    )
    first, last = target.pages()[0], target.pages()[0] + target.module.golden.sizes[Area.TEXT]
    function = next(t for c in _calls(target, memory) if first <= (t := _target(memory, c) + size) < last)

    def updated(lead: int) -> list[tuple[int, bytes]]:
        changes = [(key, struct.pack("<Q", function + memory.delta & (1 << 64) - 1))]
        for place in mine:
            if place.kind == Kind.TRAMPOLINE:
                changes.append((place.va, branch(0xE9, place.va, function)))
            else:
                changes.append((place.va, branch(0xE8, place.va, function - lead)))
        return changes

    assert check_after(memory, updated(size), memory.check).collector.checks["text"].findings == 0
    for lead in (0, size - 1):
        wrong = check_after(memory, updated(lead), memory.check)
        assert {f["kind"] for f in wrong.findings("text")} == {"static-call"}, lead
        assert wrong.collector.checks["text"].findings == len(mine) - 1
