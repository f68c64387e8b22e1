"""What is traced is attributed through the kernel's own books, and nothing else is accepted."""

from __future__ import annotations

import mmap
import shutil
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.dump.circumstances import named
from tests.dump.conftest import Checked
from tests.dump.text_subject import Dump, TextSubject, opened
from tinyvmi_build.checks.text.patch_sites import PatchSite
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.tamper import branch
from tinyvmi_build.timeouts import timeout

KERNEL = ("linux-image-cloud-amd64", "trixie")


class Traced:
    """A writable copy of a dump whose kernel traces `vfs_*` and, in a second instance, do_nanosleep."""

    def __init__(self, subject: TextSubject, path: Path, memory: Dump):
        self.subject, self.path, self.memory = subject, path, memory
        self.golden = subject.places.golden
        self.text = self.golden.va + memory.delta
        self.ftrace = self.golden.ftrace
        self.symbols = subject.profile.symbols

    def check(self) -> Checked:
        return self.subject.check(self.path)

    def va(self, name: str) -> int:
        return self.symbols.lookup(name) + self.memory.delta

    def site(self, function: str) -> PatchSite:
        va = self.symbols.lookup(function)
        return next(p for p in self.subject.places.of(Kind.FTRACE) if va <= p.va < va + 16)

    def ops(self) -> list[int]:
        """Addresses of the registered ftrace_ops."""
        found, at = [], self.memory.pointer(self.text + self.ftrace.ops_list)
        while at != self.text + self.ftrace.list_end:
            found.append(at)
            at = self.memory.pointer(at + self.ftrace.next)
        return found

    def trampoline(self, site: PatchSite) -> int:
        """Where the call at `site` leads, from the running kernel's own address."""
        code = self.memory.read(site.va, 5)
        assert code[0] == 0xE8
        return site.va + self.memory.delta + 5 + int.from_bytes(code[1:], "little", signed=True)

    @contextmanager
    def changed(self, *changes: tuple[int, bytes]) -> Iterator[Checked]:
        """What is said with bytes changed at running addresses."""
        old = [(self.memory.at(va), data) for va, data in changes]
        before = [(at, self.memory.bytes[at : at + len(data)]) for at, data in old]
        for at, data in old:
            self.memory.bytes[at : at + len(data)] = data
        try:
            yield self.check()
        finally:
            for at, data in reversed(before):
                self.memory.bytes[at : at + len(data)] = data

    def findings(self, *changes: tuple[int, bytes]) -> list[dict[str, object]]:
        with self.changed(*changes) as checked:
            return checked.findings("text")


@contextmanager
def copy_of(subject: TextSubject, dump: Path, folder: Path) -> Iterator[Traced]:
    copy = folder / "copy.raw"
    shutil.copyfile(dump, copy)
    with opened(copy, subject, mmap.ACCESS_WRITE) as memory:
        yield Traced(subject, copy, memory)
    copy.unlink()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    subject = TextSubject(folder, *KERNEL)
    with copy_of(subject, subject.dump(named("tracer-two-instances")), folder) as made:
        assert made.check().exit == 0
        yield made


def only(findings: list[dict[str, object]], kind: str, va: int) -> dict[str, object]:
    """The one finding, of this kind and at this address."""
    assert [(f["kind"], f["address"]) for f in findings] == [(kind, f"{va:#018x}")], findings
    return findings[0]


def test_a_site_calls_what_its_record_asks_for(traced: Traced) -> None:
    on, off = traced.site("vfs_read"), traced.site("ksys_read")
    slow = traced.site("do_nanosleep")
    delta = traced.memory.delta
    assert traced.memory.read(off.va, 1) != b"\xe8"
    nop = traced.memory.read(off.va, 5)
    wrong = {
        "another function": (on, branch(0xE8, on.va, traced.symbols.lookup("vfs_write"))),
        "ftrace_caller for the trampoline": (on, branch(0xE8, on.va, traced.symbols.lookup("ftrace_caller"))),
        "the other instance's trampoline": (on, branch(0xE8, on.va, traced.trampoline(slow) - delta)),
        "into the trampoline": (on, branch(0xE8, on.va, traced.trampoline(on) - delta + 1)),
        "a NOP where it is traced": (on, nop),
        "a jump": (on, b"\xe9" + traced.memory.read(on.va + 1, 4)),
        "a call where nothing is traced": (off, branch(0xE8, off.va, traced.trampoline(on) - delta)),
        "ftrace_caller where nothing is traced": (
            off,
            branch(0xE8, off.va, traced.symbols.lookup("ftrace_caller")),
        ),
    }
    for what, (site, code) in wrong.items():
        old = traced.memory.read(site.va, 5)
        finding = only(traced.findings((site.va + delta, code)), "ftrace", site.va + delta)
        assert bytes.fromhex(str(finding["expected"])) == old, what


def _record(traced: Traced, site: PatchSite) -> int:
    """Address of the dyn_ftrace of a site."""
    page = traced.memory.pointer(traced.text + traced.ftrace.pages)
    wanted = struct.pack("<Q", site.va + traced.memory.delta)
    while page:
        records = traced.memory.pointer(page + traced.ftrace.page_records)
        count = int.from_bytes(traced.memory.peek(page + traced.ftrace.page_index, 4), "little")
        for i in range(count):
            if traced.memory.peek(records + 16 * i) == wanted:
                return records + 16 * i
        page = traced.memory.pointer(page + traced.ftrace.page_next)
    raise AssertionError


def test_the_record_decides(traced: Traced) -> None:
    """A record that is switched off, or away, explains no call; one that is switched on asks for one."""
    on, off = traced.site("vfs_read"), traced.site("ksys_read")
    delta = traced.memory.delta
    record, other = _record(traced, on), _record(traced, off)
    flags = traced.memory.pointer(record + 8)
    only(traced.findings((record + 8, struct.pack("<Q", flags & ~(1 << 31)))), "ftrace", on.va + delta)
    only(traced.findings((record, struct.pack("<Q", on.va + delta + 1))), "ftrace", on.va + delta)
    only(traced.findings((other + 8, struct.pack("<Q", flags))), "ftrace", off.va + delta)


def test_a_trampoline_serves_whom_its_filter_names(traced: Traced) -> None:
    """The entry of do_nanosleep taken out of its tracer's filter: its call is explained by nothing."""
    site = traced.site("do_nanosleep")
    wanted = site.va + traced.memory.delta
    for ops in traced.ops():
        head = traced.memory.pointer(ops + traced.ftrace.hashes)
        table = traced.memory.pointer(head + traced.ftrace.filter)
        bits = traced.memory.pointer(table + traced.ftrace.bits)
        heads = traced.memory.pointer(table + traced.ftrace.heads)
        for i in range(1 << bits):
            entry = traced.memory.pointer(heads + 8 * i)
            if entry and traced.memory.pointer(entry + traced.ftrace.entry_ip) == wanted:
                change = entry + traced.ftrace.entry_ip, struct.pack("<Q", wanted + 64)
                only(traced.findings(change), "ftrace", wanted)
                return
    raise AssertionError("do_nanosleep is in no filter")


def test_every_byte_of_a_trampoline(traced: Traced) -> None:
    start = traced.trampoline(traced.site("vfs_read"))
    size = traced.ftrace.templates[0].size
    pointer = range(size + 5, size + 13)
    ret = [size, size + 1] if traced.memory.peek(start + size, 1) == b"\xc3" else list(range(size, size + 5))
    template = traced.ftrace.templates[0]
    for at in [
        0,
        1,
        template.op,
        template.op + 4,
        template.call,
        template.call + 2,
        size - 1,
        *ret,
        *pointer,
    ]:
        old = traced.memory.peek(start + at, 1)
        findings = traced.findings((start + at, bytes([old[0] ^ 0x10])))
        finding = only(findings, "ftrace-trampoline", start + at)
        assert finding["expected"][:2] == old.hex(), at  # type: ignore[index]
        assert finding["symbol"] == "ftrace_caller" and finding["offset"] == at


def test_a_writable_trampoline(traced: Traced) -> None:
    start = traced.trampoline(traced.site("vfs_read"))
    entry, _ = traced.memory.entry(start)
    old = traced.memory.bytes[entry : entry + 8]
    traced.memory.bytes[entry : entry + 8] = struct.pack("<Q", int.from_bytes(old, "little") | 2)
    findings = traced.check().findings("text")
    traced.memory.bytes[entry : entry + 8] = old
    only(findings, "mapping", start)


def test_who_is_registered_must_be_code(traced: Traced) -> None:
    start = traced.trampoline(traced.site("vfs_read"))
    ops = next(o for o in traced.ops() if traced.memory.pointer(o + traced.ftrace.trampoline) == start)
    where = ops + traced.ftrace.func
    for target, kinds in (
        (traced.va("vfs_write") + 5, {"ftrace"}),  # no function's entry
        (start, {"ftrace"}),  # no function of the kernel
        (traced.va("vfs_write"), set[str]()),  # a function, but not the one that its trampoline calls
    ):
        findings = traced.findings((where, struct.pack("<Q", target)))
        found = {str(f["kind"]) for f in findings}
        assert kinds <= found, findings
        assert "ftrace-trampoline" in found or kinds, findings
        for finding in findings:
            if finding["kind"] == "ftrace":
                assert finding["target"] == f"{target:#018x}"


def test_ftrace_trace_function(traced: Traced) -> None:
    where = traced.text + traced.ftrace.trace_function
    findings = traced.findings((where, struct.pack("<Q", traced.va("vfs_write"))))
    assert (findings[0]["kind"], findings[0]["symbol"]) == ("ftrace", "ftrace_trace_function")
    # One of the legitimate values, but not the one that the code calls.
    stub = struct.pack("<Q", traced.va("ftrace_stub"))
    assert traced.memory.peek(where) != stub
    places = traced.subject.places.of(Kind.FTRACE_UPDATE)
    assert {str(f["address"]) for f in traced.findings((where, stub))} == {
        f"{p.va + traced.memory.delta:#018x}" for p in places
    }


def test_hostile_bookkeeping_ends(traced: Traced) -> None:
    """Lists that lead in circles, huge counts, wild pointers: the check ends, and accepts nothing for it."""
    ops = traced.ops()[0]
    page = traced.memory.pointer(traced.text + traced.ftrace.pages)
    hashes = traced.memory.pointer(ops + traced.ftrace.hashes)
    table = traced.memory.pointer(hashes + traced.ftrace.filter)
    for name, where, value in (
        ("ops in a circle", ops + traced.ftrace.next, ops),
        ("ops nowhere", traced.text + traced.ftrace.ops_list, 0x1234),
        ("pages in a circle", page + traced.ftrace.page_next, page),
        ("pages nowhere", traced.text + traced.ftrace.pages, 1 << 63),
        ("records nowhere", page + traced.ftrace.page_records, 8),
        ("a huge count", page + traced.ftrace.page_index, 0x7FFFFFFF),
        ("a hash with many bits", table + traced.ftrace.bits, 64),
        ("a hash nowhere", table + traced.ftrace.heads, 0xFFFF),
        ("direct calls nowhere", traced.text + traced.ftrace.direct, 0xFFFFFFFFFFFFF000),
    ):
        begin = time.monotonic()
        with traced.changed((where, struct.pack("<Q", value))) as checked:
            assert checked.exit in (0, 3, 5), name
        assert time.monotonic() - begin < timeout(20), name
    assert traced.check().exit == 0


def test_a_poke_in_flight_explains_no_breakpoint(traced: Traced) -> None:
    """The kernel's account of its patching changes the words, and not the verdict."""
    poke, site = traced.golden.poke, traced.site("ksys_write")
    va = site.va + traced.memory.delta
    breakpoint = (va, b"\xcc")
    plain = only(traced.findings(breakpoint), "ftrace", va)
    assert "neither a kprobe nor" in str(plain["note"])
    vector = traced.memory.pointer(traced.text + poke.vector) if poke.indirect else traced.text + poke.vector
    if not vector:
        vector = traced.va("tp_vec")
    account = [
        (traced.text + poke.vector, struct.pack("<Q", vector)),
        (traced.text + poke.count, struct.pack("<i", 1)),
        (traced.text + poke.refs, struct.pack("<i", 1)),
        (vector + poke.address, struct.pack("<i", site.va - traced.golden.va - poke.base)),
    ]
    reported = only(traced.findings(breakpoint, *account), "ftrace", va)
    assert "patching this place" in str(reported["note"])
