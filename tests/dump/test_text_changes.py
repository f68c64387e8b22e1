"""Every plausible but wrong encoding at every kind of place is caught, and so is any single byte."""

from __future__ import annotations

import mmap
import random
import shutil
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dump.circumstances import named
from tests.dump.conftest import Checked, leaf_entry
from tests.dump.text_subject import Dump, TextSubject, opened
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.tamper import branch

PAGE = 4096
SEED = 20_261_124
PLAIN_RETURN = bytes.fromhex("c3cccccccc")
A_RUN = 16  # findings that the checker describes
#: Kernel and circumstance: together they show every encoding that can be made wrong.
TARGETS = [
    ("linux-image-cloud-amd64", "bookworm", "plain"),
    ("linux-image-cloud-amd64", "bookworm", "milan"),
    ("linux-image-cloud-amd64", "bullseye", "haswell"),
    ("linux-image-cloud-amd64", "trixie", "plain"),
    ("linux-image-cloud-amd64", "trixie", "call-depth"),
    ("linux-image-cloud-amd64", "sid", "plain"),
]
_seen: set[tuple[str, str, str]] = set()
_tried: set[tuple[Kind, str]] = set()

#: What is there → what is put there, None: not here.
Wrong = Callable[["Target", PatchSite, bytes], bytes | None]


class Target:
    """A writable copy of a kernel's memory."""

    def __init__(self, subject: TextSubject, path: Path, memory: Dump):
        self.subject = subject
        self.path = path
        self.memory = memory
        self.places: PatchSites = subject.places
        self.symbols = subject.profile.symbols
        feature = self.places.golden.features.call_depth
        word = memory.read(self.places.text + self.places.golden.capabilities + feature // 32 * 4, 4)
        self.call_depth = feature and int.from_bytes(word, "little") >> feature % 32 & 1

    def check(self) -> Checked:
        return self.subject.check(self.path)

    def call(self, opcode: int, place: PatchSite, function: str) -> bytes:
        return branch(opcode, place.va, self.symbols.lookup(function))

    def check_after(self, changes: list[tuple[int, bytes]]) -> Checked:
        """What is said with `changes` (link address, bytes) made; they are undone."""
        old = [(va, self.memory.read(va, len(data))) for va, data in changes]
        for va, data in changes:
            self.memory.write(va, data)
        checked = self.check()
        for va, data in reversed(old):
            self.memory.write(va, data)
        return checked


@pytest.fixture(scope="module", params=TARGETS, ids=lambda t: f"{t[1]}-{t[2]}")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("text-changes")
    metapackage, suite, circumstance = request.param
    subject = TextSubject(folder, metapackage, suite)
    copy = folder / "copy.raw"
    shutil.copyfile(subject.dump(named(circumstance)), copy)
    with opened(copy, subject, mmap.ACCESS_WRITE) as memory:
        yield Target(subject, copy, memory)
        _seen.add(request.param)
    copy.unlink()


def _other_function(opcode: int) -> Wrong:
    return lambda t, place, old: t.call(opcode, place, "vfs_write") if old[0] == opcode else None


def _moved(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    """The same instruction, led a few bytes further."""
    if old[0] not in (0xE8, 0xE9):
        return None
    return old[:1] + struct.pack("<I", struct.unpack("<I", old[1:5])[0] + 4 & 0xFFFFFFFF) + old[5:]


def _to(code: str) -> Wrong:
    data = bytes.fromhex(code)
    return lambda t, place, old: data if len(data) == len(old) and data != old else None


def _if(first: int, code: str) -> Wrong:
    data = bytes.fromhex(code)
    return lambda t, place, old: data if old[0] == first and len(data) == len(old) else None


def _other_thunk(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    """Another of the kernel's own return thunks."""
    for name in ("retbleed_return_thunk", "its_return_thunk", "srso_return_thunk"):
        new = t.call(0xE9, place, name)
        if new != old:
            return new
    return None


def _inverted(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    assert place.jump
    if old[0] in (0xE9, 0xEB):
        return {2: bytes.fromhex("6690"), 5: bytes.fromhex("0f1f440000")}[place.size]
    if place.size == 2:
        return bytes([0xEB, place.jump[0] - place.va - 2 & 0xFF])
    return branch(0xE9, place.va, place.jump[0])


def _wrong_label(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    assert place.jump
    if place.size == 2:
        return bytes([0xEB, place.jump[0] - place.va - 1 & 0xFF])
    return branch(0xE9, place.va, place.jump[0] + 1)


def _other_variant(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    """An encoding of the same shape that the state does not ask for, where it has no displacement."""
    golden = t.places.golden
    for number in golden.shapes[place.argument].templates:
        template = golden.templates[number]
        if not template.fixes and template.code != old:
            return template.code
    return None


def _other_register(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    if old[0] in (0xE8, 0xE9):
        return old[:1] + struct.pack("<I", struct.unpack("<I", old[1:5])[0] ^ 0x20)
    return None


def _return_for_jump(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    """Legitimate only for a call that is empty: emptied early, it keeps a plain return."""
    empty = t.memory.read(t.places.call_key(place), 8) == bytes(8)
    return None if empty or old[0] != 0xE9 else PLAIN_RETURN


def _nearby(t: Target, place: PatchSite, old: bytes) -> bytes | None:
    return bytes([old[0] ^ 0x01, *old[1:]])


#: Kind, what is wrong, how it is made.
WRONGS: list[tuple[Kind, str, Wrong]] = [
    (Kind.RETURN, "ret for the thunk", _if(0xE9, "c3cccccccc")),
    (Kind.RETURN, "another thunk", _other_thunk),
    (Kind.RETURN, "another displacement", _moved),
    (Kind.RETURN, "no return", _to("0f1f440000")),
    (Kind.RETPOLINE, "another register", _other_register),
    (Kind.RETPOLINE, "a bare indirect call", _if(0xE8, "ffd00f1f00")),
    (Kind.RETPOLINE, "a bare indirect jump", _if(0xE9, "ffe0cccccc")),
    (Kind.RETPOLINE, "a NOP", _to("0f1f440000")),
    (Kind.PARAVIRT, "another function", lambda t, p, o: t.call(0xE8, p, "vfs_write") + o[5:]),
    (Kind.PARAVIRT, "another displacement", _moved),
    (Kind.PARAVIRT, "a NOP", _to("660f1f440000")),
    (Kind.ALTERNATIVE, "the other variant", _other_variant),
    (Kind.ALTERNATIVE, "NOPs", lambda t, p, o: b"\x90" * len(o) if o != b"\x90" * len(o) else None),
    (Kind.ALTERNATIVE, "another displacement", _moved),
    (Kind.LOCK, "switched", lambda t, p, o: bytes([o[0] ^ 0xF0 ^ 0x3E])),
    (Kind.LOCK, "gone", _to("90")),
    (Kind.ENDBR, "not sealed", _to("f30f1efa")),
    (Kind.ENDBR, "a usual NOP", _to("0f1f4000")),
    (Kind.FTRACE, "a call of ftrace_caller", lambda t, p, o: t.call(0xE8, p, "ftrace_caller")),
    (Kind.FTRACE, "a call of another function", lambda t, p, o: t.call(0xE8, p, "vfs_write")),
    (Kind.FTRACE, "a jump to another function", lambda t, p, o: t.call(0xE9, p, "vfs_write")),
    (Kind.FTRACE, "other NOPs", _to("6690 0f1f00")),
    (Kind.FTRACE, "a breakpoint", lambda t, p, o: b"\xcc" + o[1:]),
    (Kind.JUMP_LABEL, "inverted", _inverted),
    (Kind.JUMP_LABEL, "another target", _wrong_label),
    (Kind.JUMP_LABEL, "a breakpoint", lambda t, p, o: b"\xcc" + o[1:]),
    (Kind.STATIC_CALL, "another function", _other_function(0xE8)),
    (Kind.STATIC_CALL, "another function, tail", _other_function(0xE9)),
    (Kind.STATIC_CALL, "a NOP for a call", _if(0xE8, "0f1f440000")),
    (Kind.STATIC_CALL, "zero for a call", _if(0xE8, "2e2e2e31c0")),
    (Kind.STATIC_CALL, "a jump for a call", lambda t, p, o: b"\xe9" + o[1:] if o[0] == 0xE8 else None),
    (
        Kind.STATIC_CALL,
        "a call for a NOP",
        lambda t, p, o: t.call(0xE8, p, "vfs_write") if o[0] not in (0xE8, 0xE9) else None,
    ),
    (Kind.STATIC_CALL, "another displacement", _moved),
    (Kind.TRAMPOLINE, "another function", lambda t, p, o: t.call(0xE9, p, "vfs_write")),
    (Kind.TRAMPOLINE, "a return", _return_for_jump),
    (Kind.RUNTIME_CONST, "another value", _nearby),
    (Kind.FTRACE_UPDATE, "another function", lambda t, p, o: t.call(o[0], p, "vfs_write")),
    (Kind.FTRACE_UPDATE, "a NOP", _to("0f1f440000")),
]


@dataclass(frozen=True)
class Made:
    va: int
    new: bytes
    place: PatchSite


def _makeable(target: Target, kind: Kind, wrong: Wrong, rng: random.Random) -> list[Made]:
    places = target.places.of(kind)
    rng.shuffle(places)
    made: list[Made] = []
    for place in places:
        if place.kind == Kind.RUNTIME_CONST and not _has_variable(target, place):
            continue  # the first such place is itself the state: test_a_constant_without_a_variable
        old = target.memory.read(place.va, place.size)
        new = wrong(target, place, old)
        if new is not None and new != old:
            made.append(Made(place.va, new, place))
        if len(made) == A_RUN:
            break
    return made


def _has_variable(target: Target, place: PatchSite) -> bool:
    return bool(target.places.golden.constants.list[place.argument].variable)


@pytest.mark.parametrize("kind, what, wrong", WRONGS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_wrong_encoding_is_caught(target: Target, kind: Kind, what: str, wrong: Wrong) -> None:
    """Sixteen places at once, each reported by its kind, with what is there."""
    if not target.places.of(kind):
        pytest.skip(f"this kernel has no {kind.name.lower()}")
    made = _makeable(target, kind, wrong, random.Random(SEED))
    if not made:
        pytest.skip("no place of this kernel has another encoding of that form now")
    _tried.add((kind, what))
    checked = target.check_after([(m.va, m.new) for m in made])
    findings = checked.findings("text")
    assert checked.collector.checks["text"].findings == len(made), findings
    assert len(findings) == len(made)
    by_address = {int(str(f["address"]), 16) - target.memory.delta: f for f in findings}
    for m in made:
        finding = by_address[m.va]
        assert finding["kind"] == m.place.name
        assert bytes.fromhex(str(finding["actual"])) == m.new
        expected = bytes.fromhex(str(finding["expected"]))
        old = target.memory.read(m.va, m.place.size)
        early = m.place.kind in (Kind.STATIC_CALL, Kind.TRAMPOLINE) and old == PLAIN_RETURN
        assert expected == old or (early and expected[0] == 0xE9)
        assert finding["note"]


def test_every_kind_has_wrong_encodings() -> None:
    assert {kind for kind, _, _ in WRONGS} == set(Kind)


RUNS = 4


@pytest.mark.parametrize("run", range(RUNS))
def test_any_single_byte_is_caught(target: Target, run: int) -> None:
    """One random byte of every page at once: as many findings as pages."""
    if target.call_depth:
        pytest.skip("a counted call across a border makes one change two findings: the other targets tell")
    rng = random.Random(SEED + run)
    golden = target.places.golden
    borders = _relocations_across_lines(target)
    changes, alone = [], []
    for page in range(golden.size // PAGE):
        va = golden.va + page * PAGE + rng.randrange(PAGE)
        place = target.places.at(va)
        if place and place.kind == Kind.RUNTIME_CONST and not _has_variable(target, place):
            continue
        change = va, bytes([target.memory.read(va, 1)[0] ^ rng.randrange(1, 256)])
        (alone if va in borders else changes).append(change)
    assert len(changes) > 3000
    assert target.check_after(changes).collector.checks["text"].findings == len(changes)
    for change in alone:  # taking the relocation back may carry into the next line: one finding or two
        assert target.check_after([change]).collector.checks["text"].findings in (1, 2)


def _relocations_across_lines(target: Target) -> set[int]:
    """Addresses of bytes in relocated fields that lie in two of the locator's lines."""
    found: set[int] = set()
    for name, width in (("relocs64", 8), ("relocs32", 4), ("inverse32", 4)):
        for va in array("Q", target.subject.profile.blob(name)):
            if va // 64 != (va + width - 1) // 64:
                found.update(range(va, va + width))
    return found


def test_code_behind_the_last_function_is_caught(target: Target) -> None:
    golden = target.places.golden
    va = golden.va + golden.size - 8
    findings = target.check_after([(va, b"\xc3")]).findings("text")
    assert [f["kind"] for f in findings] == ["text-bytes"]


def test_what_the_state_says_only_chooses(target: Target) -> None:
    """A pointer that leads where the package does not allow is a finding itself."""
    symbols, delta, golden = target.symbols, target.memory.delta, target.places.golden
    vfs_write = struct.pack("<Q", symbols.lookup("vfs_write") + delta)
    inside = struct.pack("<Q", symbols.lookup("vfs_write") + delta + 5)
    pv_ops = golden.va + golden.paravirt.pointers[0]
    thunk = golden.va + golden.x86_return_thunk
    call = next(p for p in target.places.of(Kind.STATIC_CALL) if target.memory.read(p.va, 1) == b"\xe8")
    key = target.places.call_key(call)
    for where, value, kind in (
        (pv_ops, vfs_write, "paravirt"),
        (thunk, vfs_write, "return"),
        (key, inside, "static-call"),
    ):
        findings = target.check_after([(where, value)]).findings("text")
        assert findings[0]["kind"] == kind
        assert int(str(findings[0]["address"]), 16) - delta == where
        assert bytes.fromhex(str(findings[0]["actual"])) == value


def test_a_key_and_its_places_must_agree(target: Target) -> None:
    """A static call's key set to another real function: each place that calls the old one is reported."""
    delta = target.memory.delta
    call = next(p for p in target.places.of(Kind.STATIC_CALL) if target.memory.read(p.va, 1) == b"\xe8")
    key = target.places.call_key(call)
    value = struct.pack("<Q", target.symbols.lookup("vfs_write") + delta)
    checked = target.check_after([(key, value)])
    follow = [p for p in target.places.all if p.kind in (Kind.STATIC_CALL, Kind.TRAMPOLINE)]
    count = sum(target.places.call_key(p) == key for p in follow)
    assert checked.collector.checks["text"].findings == count >= 2


def test_a_constant_without_a_variable(target: Target) -> None:
    """Its value must be one of the kernel's slab caches, and the same everywhere."""
    constants = target.places.golden.constants.list
    places = [p for p in target.places.of(Kind.RUNTIME_CONST) if not constants[p.argument].variable]
    if not places:
        pytest.skip("this kernel keeps a variable for each constant")
    one = [p for p in places if p.argument == places[0].argument]
    value = struct.pack("<Q", struct.unpack("<Q", target.memory.read(one[0].va, 8))[0] + 64)
    assert target.check_after([(p.va, value) for p in one]).findings("text")[0]["kind"] == "runtime-const"
    assert target.check_after([(one[-1].va, value)]).collector.checks["text"].findings == 1


WRITABLE, NX = 1 << 1, 1 << 63


def _entry(memory: Dump, link_va: int) -> int:
    """Physical address of the page-table entry that maps a link address (4 levels)."""
    root = memory.pa(memory.profile.discovery.root_va)
    return leaf_entry(memory.bytes, root, link_va + memory.delta)


@pytest.mark.parametrize("what", ["writable code", "writable data", "executable data"])
def test_rights_of_the_mapping(target: Target, what: str) -> None:
    memory = target.memory
    golden = target.places.golden
    va = golden.va + 0x400000 if what == "writable code" else target.symbols.lookup("__start_rodata")
    entry = _entry(memory, va)
    old = memory.bytes[entry : entry + 8]
    value = struct.unpack("<Q", old)[0]
    new = value & ~NX if what == "executable data" else value | WRITABLE
    memory.bytes[entry : entry + 8] = struct.pack("<Q", new)
    findings = target.check().findings("text")
    memory.bytes[entry : entry + 8] = old
    assert [f["kind"] for f in findings] == ["mapping"]
    assert target.check().exit == 0


def test_every_wrong_encoding_was_tried() -> None:
    """On one target at least: what is skipped everywhere would prove nothing."""
    if len(_seen) < len(TARGETS) - 1:  # the last one is not torn down yet
        pytest.skip("only a part of the targets was run")
    assert _tried == {(kind, what) for kind, what, _ in WRONGS}
