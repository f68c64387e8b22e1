"""Every change of the list: tampers are caught by their check, benign ones pass."""

from __future__ import annotations

import random
import subprocess

import pytest

from tests.dump.conftest import NONCE, Memory
from tinyvmi_build.checks.lib.relocated import relocated
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.syscall_table.golden import SyscallTableGolden
from tinyvmi_build.checks.tamper import Change, change, changes
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.profile.profile import ProfileFile

CHANGES = [c for c in changes() if not c.modules]  # those of modules: test_modules.py
TAMPERS = [c for c in CHANGES if c.caught_by and not c.hides_kernel]
HIDING = [c for c in CHANGES if c.hides_kernel]
BENIGN = [c for c in CHANGES if not c.caught_by]


@pytest.mark.parametrize("change", TAMPERS, ids=lambda c: c.name)
def test_a_tamper_is_caught(memory: Memory, change: Change) -> None:
    assert change.caught_by
    patches = change.patches(memory)
    checked = memory.check_changed(change)
    assert checked.exit == 5
    state = checked.collector.checks[change.caught_by]
    assert state.verdict.value == "tampered"
    for va, data in patches:
        # One finding covers the first changed byte, and shows what is there now.
        covering = [
            f
            for f in checked.findings(change.caught_by)
            if 0 <= va + memory.delta - int(str(f["address"]), 16) < 256
        ]
        assert covering, checked.findings(change.caught_by)
        actual = bytes.fromhex(str(covering[0]["actual"]))
        at = va + memory.delta - int(str(covering[0]["address"]), 16)
        assert actual[at : at + len(data)] == data.rstrip(b"\0")[: len(actual[at : at + len(data)])] or (
            actual[at : at + len(data)] == data
        )
    assert memory.check().exit == 0


@pytest.mark.parametrize("change", HIDING, ids=lambda c: c.name)
def test_a_change_that_hides_the_kernel(memory: Memory, change: Change) -> None:
    """Unverifiable for who looks first; tampered for the monitor that had found the kernel."""
    undo = change.apply(memory)
    assert memory.check().exit == 3
    undo()
    command = [str(memory.checker), str(memory.path), NONCE, "2", "400"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as checker:
        assert checker.stdout
        while '"heartbeat"' not in (line := checker.stdout.readline()):
            assert line, "the checker ended before its first scan"
        undo = change.apply(memory)
        rest = checker.stdout.read()
    undo()
    assert checker.returncode == 5
    assert any('"finding"' in line and f'"check":"{change.caught_by}"' in line for line in rest.splitlines())


@pytest.mark.parametrize("change", BENIGN, ids=lambda c: c.name)
def test_a_benign_change_passes(memory: Memory, change: Change) -> None:
    patches = change.patches(memory)
    assert any(memory.read(va, len(data)) != data for va, data in patches), "nothing would change"
    checked = memory.check_changed(change)
    assert checked.exit == 0, checked.records


def test_random_bytes_of_rodata(memory: Memory) -> None:
    """Any one byte anywhere in the verified range: its page, line and value are reported."""
    golden = memory.profile.golden(RodataGolden)
    rng = random.Random(20)
    for _ in range(25):
        va = golden.va + rng.randrange(golden.size)
        old = memory.read(va, 1)
        memory.write(va, bytes([old[0] ^ rng.randrange(1, 256)]))
        checked = memory.check()
        memory.write(va, old)
        assert checked.collector.checks["rodata"].findings == 1
        finding = checked.findings("rodata")[0]
        line = int(str(finding["address"]), 16) - memory.delta
        assert line <= va < line + 64
        expected = relocated(memory.profile, golden.va, golden.content, line, 64, memory.delta)
        actual = bytes.fromhex(str(finding["actual"]))
        assert expected is not None
        differing = [i for i in range(len(actual)) if actual[i] != expected[i]]
        assert differing == [va - line]


def test_findings_beyond_the_bound_are_counted(memory: Memory) -> None:
    table = memory.profile.golden(SyscallTableGolden).tables[0]
    old = memory.read(table.va, 8 * 100)
    memory.write(table.va, bytes(8 * 100))
    checked = memory.check()
    memory.write(table.va, old)
    assert checked.collector.checks["syscall-table"].findings == 100
    assert len(checked.findings("syscall-table")) == 16


def test_the_report_tells_which_bytes_changed(memory: Memory) -> None:
    """The monitor knows a page by its digest; the profile beside it knows the bytes and the names."""
    explainer = Explainer(ProfileFile([memory.profile]))
    undo = change("rodata-function-pointer").apply(memory)
    checked = memory.check()
    undo()
    assert checked.collector.kernel is not None
    explainer.see(checked.collector.kernel)
    (finding,) = checked.findings("rodata")
    reported = explainer.finding(finding)
    assert reported.symbol == "full_fops+0x8"
    assert reported.expected == "null_lseek"  # drivers/char/mem.c: full_lseek is another name of it
    assert reported.actual == "noop_llseek"
    assert len(reported.expected_bytes) == len(reported.actual_bytes) == 16
