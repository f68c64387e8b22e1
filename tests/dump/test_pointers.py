"""Static pointers and boot values in real memory, by the hundreds; and memory that lies about them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from tests.dump.conftest import Memory, Subject, run_checker
from tests.dump.test_hostile import sanitized
from tinyvmi_build.checks.function_pointers.golden import FunctionPointersGolden
from tinyvmi_build.checks.page_tables.golden import PageTablesGolden
from tinyvmi_build.checks.ro_after_init.golden import EXACT, VALUE, RoAfterInitGolden
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.profile.profile import ProfileFile

__all__ = ["sanitized"]
POINTERS, BOOT = "function-pointers", "ro-after-init"


def slots(memory: Memory) -> list[int]:
    """Link addresses, in order."""
    return memory.profile.golden(FunctionPointersGolden).addresses()


def test_every_slot_is_checked(memory: Memory) -> None:
    """One byte of each slot at once: as many findings as slots."""
    places = slots(memory)
    golden = memory.profile.golden(FunctionPointersGolden)
    assert len(places) == golden.functions + golden.tables
    saved = [(va, memory.read(va, 8)) for va in places]
    rng = random.Random(14)
    try:
        for va, old in saved:
            at = rng.randrange(8)
            memory.write(va + at, bytes([old[at] ^ rng.randrange(1, 256)]))
        checked = memory.check()
    finally:
        for va, old in saved:
            memory.write(va, old)
    state = checked.collector.checks[POINTERS]
    # A byte of a hook that modules may set can make it lead outside: then nobody knows.
    elsewhere = sum(bool(rule.flags & 4) for rule in golden.rules)
    assert len(places) - elsewhere <= state.findings <= len(places)


def test_another_real_function_everywhere(memory: Memory) -> None:
    """Plausible but wrong: a function of the kernel's, of which no rule speaks."""
    places = slots(memory)
    ruled = {rule.slot for rule in memory.profile.golden(FunctionPointersGolden).rules}
    wrong = struct.pack("<Q", memory.profile.symbols.lookup("vfs_read") + memory.delta)
    saved = [(va, memory.read(va, 8)) for i, va in enumerate(places) if i not in ruled]
    changed = [va for va, old in saved if old != wrong]
    try:
        for va in changed:
            memory.write(va, wrong)
        checked = memory.check()
    finally:
        for va, old in saved:
            memory.write(va, old)
    assert checked.collector.checks[POINTERS].findings == len(changed)


def test_a_module_as_a_probe_is_unverifiable(memory: Memory) -> None:
    """Nobody here knows what a module's function is: neither intact nor tampered."""
    va = memory.profile.symbols.lookup("__SCK__tp_func_sched_switch")
    old = memory.read(va, 8)
    memory.write(va, struct.pack("<Q", 0xFFFFFFFFC0123450))
    checked = memory.check()
    memory.write(va, old)
    state = checked.collector.checks[POINTERS]
    assert state.verdict.value == "unverifiable"
    assert "not verified" in state.reason


def test_a_module_where_none_may_be_is_tampered(memory: Memory) -> None:
    va = slots(memory)[100]
    old = memory.read(va, 8)
    memory.write(va, struct.pack("<Q", 0xFFFFFFFFC0123450))
    checked = memory.check()
    memory.write(va, old)
    assert checked.collector.checks[POINTERS].findings == 1


def test_a_pointers_names_are_reported(memory: Memory) -> None:
    explainer = Explainer(ProfileFile([memory.profile]))
    va = memory.profile.symbols.lookup("pcibios_enable_irq")
    old = memory.read(va, 8)
    memory.write(va, struct.pack("<Q", memory.profile.symbols.lookup("vfs_read") + memory.delta))
    checked = memory.check()
    memory.write(va, old)
    assert checked.collector.kernel is not None
    explainer.see(checked.collector.kernel)
    (finding,) = checked.findings(POINTERS)
    reported = explainer.finding(finding)
    assert (reported.symbol, reported.actual) == ("pcibios_enable_irq", "vfs_read")
    assert reported.expected == "pirq_enable_irq"
    assert reported.meaning


def kinds(memory: Memory, wanted: int) -> list[int]:
    golden = memory.profile.golden(RoAfterInitGolden)
    table = golden.kinds.data
    first = golden.start - golden.va
    return [golden.va + at for at in range(first, len(table)) if table[at] == wanted]


def test_exact_bytes(memory: Memory) -> None:
    """Any one exact byte: its line is reported, and which byte it is."""
    explainer = Explainer(ProfileFile([memory.profile]))
    rng = random.Random(15)
    for va in rng.sample(kinds(memory, EXACT), 20):
        old = memory.read(va, 1)
        memory.write(va, bytes([old[0] ^ rng.randrange(1, 256)]))
        checked = memory.check()
        memory.write(va, old)
        assert checked.collector.checks[BOOT].findings == 1, hex(va)
        finding = checked.findings(BOOT)[0]
        assert 0 <= va + memory.delta - int(str(finding["address"]), 16) < 64
        assert checked.collector.kernel is not None
        explainer.see(checked.collector.kernel)
        reported = explainer.finding(finding)
        at = va + memory.delta - int(reported.address, 16)
        assert reported.expected_bytes and reported.expected_bytes[2 * at : 2 * at + 2] == old.hex()


def test_a_byte_of_every_line(memory: Memory) -> None:
    """One exact byte of each line of 64 at once: as many findings as lines."""
    golden = memory.profile.golden(RoAfterInitGolden)
    by_line: dict[int, list[int]] = {}
    for va in kinds(memory, EXACT):
        by_line.setdefault((va - golden.va) // 64, []).append(va)
    rng = random.Random(16)
    saved = [(va, memory.read(va, 1)) for va in (rng.choice(places) for places in by_line.values())]
    try:
        for va, old in saved:
            memory.write(va, bytes([old[0] ^ rng.randrange(1, 256)]))
        checked = memory.check()
    finally:
        for va, old in saved:
            memory.write(va, old)
    findings = checked.collector.checks[BOOT].findings
    assert len(saved) * 0.999 <= findings <= len(saved)  # a line's sum has 16 bits: it may look the same


def test_sites_of_static_calls_in_any_order_of_equals(memory: Memory) -> None:
    """The sort at boot leaves sites of one key in an order of its own: any is as good."""
    golden = memory.profile.golden(RoAfterInitGolden)
    at = golden.va + golden.sites_at
    count = golden.counts["static-call-sites"] // 8

    def entry(i: int) -> tuple[int, int]:
        site, key = struct.unpack("<ii", memory.read(at + 8 * i, 8))
        return at + 8 * i + site, at + 8 * i + 4 + key

    def write(i: int, value: tuple[int, int]) -> None:
        memory.write(at + 8 * i, struct.pack("<ii", value[0] - at - 8 * i, value[1] - at - 8 * i - 4))

    equal = next(i for i in range(count - 1) if entry(i)[1] & ~3 == entry(i + 1)[1] & ~3)
    other = next(i for i in range(count - 1) if entry(i)[1] & ~3 != entry(i + 1)[1] & ~3)
    for i, exit_status in ((equal, 0), (other, 5)):
        first, second = entry(i), entry(i + 1)
        write(i, second)
        write(i + 1, first)
        checked = memory.check()
        write(i, first)
        write(i + 1, second)
        assert checked.exit == exit_status, checked.findings(BOOT)


@pytest.mark.parametrize("bit", [1, 2])
def test_a_sites_bits(memory: Memory, bit: int) -> None:
    """Whether it is a tail call, and whether its code was given back."""
    golden = memory.profile.golden(RoAfterInitGolden)
    va = golden.va + golden.sites_at + 8 * 11 + 4
    old = memory.read(va, 4)
    at = va  # the key is counted from here: its low bits are not those of the field
    key = at + struct.unpack("<i", old)[0]
    memory.write(va, struct.pack("<i", (key ^ bit) - at))
    checked = memory.check()
    memory.write(va, old)
    assert checked.findings(BOOT)[0]["kind"] == "static-call-site"


def test_boot_values_may_be_any_but_lead_nowhere_wrong(memory: Memory) -> None:
    words = [va for va in kinds(memory, VALUE) if va % 8 == 0]
    places = set(kinds(memory, VALUE))
    words = [va for va in words if all(va + i in places for i in range(8))]
    va = memory.profile.symbols.lookup("pcpu_base_addr")
    assert va in words
    old = memory.read(va, 8)
    text = memory.profile.text_va + memory.delta
    function = memory.profile.symbols.lookup("vfs_read") + memory.delta
    for value, exit_status in (
        (7, 0),
        (function, 0),
        (function + 1, 5),
        (text + 1, 5),
        (0xFFFFFFFFC0123450, 5),
    ):
        memory.write(va, struct.pack("<Q", value))
        checked = memory.check()
        memory.write(va, old)
        assert checked.exit == exit_status, hex(value)


def test_noise(memory: Memory, sanitized: Path) -> None:
    """Random bytes over the kernel's data, tasks, lists and tables: any verdict but intact, and no crash."""
    rng = random.Random(17)
    tasks = memory.profile.golden(PageTablesGolden)
    boot = memory.profile.golden(RoAfterInitGolden)
    places = [
        (tasks.init_task, 4096),
        (tasks.init_mm, 1024),
        (tasks.per_cpu_offset, 64),
        (tasks.nr_cpu_ids, 4),
        (boot.va + boot.sites_at, 4096),
        (boot.va + 4096, 8192),
        (slots(memory)[0] & ~4095, 16384),
    ]
    for va, size in places:
        old = memory.read(va, size)
        for _ in range(4):
            memory.write(va, rng.randbytes(size))
            assert run_checker(sanitized, memory.path).exit in (3, 5)
        memory.write(va, old)
    assert memory.check().exit == 0


def test_a_scan_costs_milliseconds(subject: Subject) -> None:
    checked = run_checker(subject.checker, subject.dump)
    times = {r["check"]: float(str(r["duration_us"])) for r in checked.records if r["type"] == "check"}
    assert all(times[check] < 500_000 for check in (POINTERS, "page-tables", BOOT))
