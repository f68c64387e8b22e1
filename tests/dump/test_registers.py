"""The `registers` check over a real kernel's memory, with registers as QEMU and the kernel's sources say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.dump.conftest import NONCE, Memory, Subject
from tinyvmi_build.checks.registers.golden import RegistersGolden
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_host_checker
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.timeouts import timeout

SMEP, SMAP, UMIP = 1 << 20, 1 << 21, 1 << 11


@dataclass
class Machine:
    """A dump and a file of registers; `values` of one vCPU are those of a kernel that has booted."""

    memory: Memory
    checker: Path
    file: Path
    values: dict[str, int] = field(default_factory=dict)

    def check(self, *vcpus: dict[str, int]) -> Collector:
        lines = [f"{i} {name} {value:x}\n" for i, v in enumerate(vcpus) for name, value in v.items()]
        self.file.write_text("".join(lines))
        command = [str(self.checker), "--registers", str(self.file), str(self.memory.path), NONCE]
        done = subprocess.run(command, capture_output=True, timeout=timeout(300), check=False)
        assert not done.stderr, done.stderr
        collector = Collector(NONCE)
        self.findings = []
        for line in done.stdout.splitlines():
            for event in collector.feed(line):
                record = getattr(event, "record", None)
                if record is not None and record.body["type"] == "finding":
                    self.findings.append(record.body)
        collector.end()
        return collector

    def verdict(self, *vcpus: dict[str, int]) -> str:
        return self.check(*vcpus).checks["registers"].verdict.value

    def va(self, symbol: str) -> int:
        return self.memory.profile.symbols.lookup(symbol) + self.memory.delta


@pytest.fixture(scope="module")
def machine(subject: Subject, memory: Memory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("registers")
    (folder / "tinyvmi.toml").write_text(
        '[kernel]\npackages = ["x.deb"]\n[privilege]\nmode = "flask"\nvcpu_context = true\n'
    )
    loaded = load(folder / "tinyvmi.toml", env={})
    checker = build_host_checker(loaded, folder=folder / "build", profiles=ProfileFile([subject.profile]))
    made = Machine(memory, checker, folder / "registers")
    golden = subject.profile.golden(RegistersGolden)
    made.values = {
        "cr0": 0x80050033,
        "cr3": memory.root_pa,
        "cr4": 0x6F0,
        "efer": 0xD01,
        "idt.base": golden.idt_va,
        "idt.limit": 0xFFF,
        "star": golden.star,
        "lstar": made.va("entry_SYSCALL_64"),
        "cstar": made.va("entry_SYSCALL_compat"),
        "sfmask": 0x257FD5,
        "sysenter.eip": made.va("entry_SYSENTER_compat"),
        "dr0": 0,
        "dr7": 0x400,
    }
    yield made


def test_a_booted_kernel_is_intact(machine: Machine) -> None:
    collector = machine.check(machine.values, machine.values)
    assert collector.checks["registers"].verdict.value == "intact", machine.findings
    assert collector.checks["registers"].items == 2 * 15
    assert collector.exit_code() == 0


CHANGED = {
    "cr0": 0x80040033,  # WP
    "cr3": 0x1000,
    "efer": 0x501,  # NX
    "idt.base": 0xFFFFFFFF82000000,
    "idt.limit": 0xFF,
    "star": 0x0013_0010 << 32,
    "lstar": 0xFFFFFFFFC0000000,
    "cstar": 0xFFFFFFFFC0000000,
    "sfmask": 0x257DD5,  # IF
    "sysenter.eip": 0xFFFFFFFFC0000000,
}


@pytest.mark.parametrize("name", CHANGED)
def test_one_changed_register_of_one_processor(machine: Machine, name: str) -> None:
    assert machine.verdict(machine.values, {**machine.values, name: CHANGED[name]}) == "tampered"
    assert [finding["symbol"].partition(".")[0] for finding in machine.findings] == ["vcpu1"]


def test_what_differs_legitimately(machine: Machine) -> None:
    assert machine.verdict({**machine.values, "sfmask": 0x47700}) == "intact"  # before 5.18
    assert machine.verdict({**machine.values, "sfmask": 0x47700}) == "intact"  # of kernels before 5.18
    assert machine.verdict({**machine.values, "dr0": 0x401000, "dr7": 0x401}) == "intact"  # gdb


def test_breakpoints_in_the_kernel(machine: Machine) -> None:
    at = machine.va("do_nanosleep")
    assert machine.verdict({**machine.values, "dr0": at}) == "intact"  # not enabled
    assert machine.verdict({**machine.values, "dr0": at, "dr7": 0x402}) == "tampered"


@pytest.mark.parametrize("bit", [SMEP, SMAP, UMIP])
def test_a_protection_that_one_processor_lacks(machine: Machine, bit: int) -> None:
    """Another one shows that it is there; and the kernel never takes it back."""
    with_bit = {**machine.values, "cr4": machine.values["cr4"] | bit}
    assert machine.verdict(with_bit, with_bit) == "intact"
    assert machine.verdict(with_bit, machine.values) == "tampered"


def test_a_protection_that_the_kernel_says_it_has(machine: Machine) -> None:
    golden = machine.memory.profile.golden(RegistersGolden)
    at = golden.capability_va + golden.smep // 32 * 4
    old = machine.memory.read(at, 4)
    word = int.from_bytes(old, "little") | 1 << golden.smep % 32
    machine.memory.write(at, word.to_bytes(4, "little"))
    try:
        assert machine.verdict(machine.values) == "tampered"
        assert machine.findings[0]["symbol"] == "vcpu0.CR4"
        assert machine.verdict({**machine.values, "cr4": 0x6F0 | SMEP}) == "intact"
    finally:
        machine.memory.write(at, old)


def _copy_of_root(machine: Machine) -> tuple[int, bytes]:
    """A frame at the end of memory with the kernel's top-level table in it, as a new process has it."""
    root = machine.memory.root_pa
    table = machine.memory.bytes[root : root + 4096]
    free = len(machine.memory.bytes) - 4096
    return free, table


def test_page_tables_of_a_process(machine: Machine) -> None:
    """Their upper half is the kernel's; one that leads elsewhere is none of its own."""
    free, table = _copy_of_root(machine)
    old = machine.memory.bytes[free : free + 4096]
    own, lazy = bytearray(table), bytearray(table)
    own[:8] = (0x1234067).to_bytes(8, "little")  # the program's half
    first = next(i for i in range(256, 511) if any(table[8 * i : 8 * i + 8]))
    lazy[8 * first : 8 * first + 8] = bytes(8)
    other = bytearray(table)
    other[8 * 511 : 8 * 512] = (0x5067).to_bytes(8, "little")
    gone = bytearray(table)
    gone[8 * 511 : 8 * 512] = bytes(8)
    try:
        for content, verdict in ((own, "intact"), (lazy, "intact"), (other, "tampered"), (gone, "tampered")):
            machine.memory.bytes[free : free + 4096] = bytes(content)
            assert machine.verdict({**machine.values, "cr3": free}) == verdict
    finally:
        machine.memory.bytes[free : free + 4096] = old


def test_an_offline_processor_is_not_compared(machine: Machine) -> None:
    collector = machine.check(machine.values, {}, machine.values)
    assert collector.checks["registers"].items == 2 * 15


def test_without_registers(machine: Machine) -> None:
    command = [str(machine.checker), str(machine.memory.path), NONCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout(300), check=False)
    assert done.returncode == 3
    assert "no registers: this monitor may not read them" in done.stdout


def _pv(machine: Machine) -> dict[str, int]:
    golden = machine.memory.profile.golden(RegistersGolden).pv
    values = {
        "pv": 1,
        "cr3": machine.memory.root_pa,
        "callback.event": golden.event_callback + machine.memory.delta,
        "callback.failsafe": golden.failsafe_callback + machine.memory.delta,
        "callback.syscall": golden.syscall_callback + machine.memory.delta,
    }
    for vector, trap in enumerate(golden.traps):
        if trap.handlers:
            values[f"trap:{vector}:{trap.flags}"] = trap.handlers[0] + machine.memory.delta
    return values


def test_what_a_pv_guest_has_registered(machine: Machine) -> None:
    values = _pv(machine)
    assert machine.verdict(values) == "intact", machine.findings
    for name in ("callback.event", "callback.failsafe", "callback.syscall", "trap:14:4"):
        assert machine.verdict({**values, name: values[name] + 0x10}) == "tampered"
    assert machine.verdict({**values, "trap:200:0": values["trap:14:4"]}) == "tampered"
    without = {name: value for name, value in values.items() if not name.startswith("trap:4:")}
    assert machine.verdict({**without, "trap:4:4": values["trap:4:7"]}) == "tampered"  # not from user mode
