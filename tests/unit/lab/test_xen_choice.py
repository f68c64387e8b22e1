"""Which Xen is booted: the first that works, remembered for each version of QEMU."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.xen_choice import chosen
from tinyvmi_build.progress import Progress


class Machine:
    """Runs a target under the Xen of `working` only."""

    def __init__(self, *working: str):
        self.working = working
        self.tried: list[str] = []

    def probe(self, suite: str) -> None:
        self.tried.append(suite)
        if suite not in self.working:
            raise MissingEnvironmentError(f"the target died under {suite}\nits console")


def test_the_first_that_works_is_remembered(tmp_path: Path) -> None:
    machine, memory, heard = Machine("trixie"), tmp_path / "memory", io.StringIO()
    assert chosen(memory, "QEMU 10", machine.probe, Progress(heard)) == "trixie"
    assert "Xen 4.17 (bookworm) does not work here: the target died under bookworm\n" in heard.getvalue()
    assert machine.tried == ["bookworm", "trixie"]
    assert chosen(memory, "QEMU 10", machine.probe, Progress(heard)) == "trixie"
    assert machine.tried == ["bookworm", "trixie"]
    machine.working = ("bookworm",)
    assert chosen(memory, "QEMU 7", machine.probe, Progress(heard)) == "bookworm"
    assert chosen(memory, "QEMU 10", machine.probe, Progress(heard)) == "trixie"


def test_if_none_works_the_first_error_is_raised_and_nothing_remembered(tmp_path: Path) -> None:
    machine, memory = Machine(), tmp_path / "memory"
    for _ in range(2):
        with pytest.raises(MissingEnvironmentError, match="died under bookworm"):
            chosen(memory, "QEMU 10", machine.probe, Progress(quiet=True))
    assert machine.tried == ["bookworm", "trixie"] * 2


@pytest.mark.parametrize("damage", ["", "nonsense", "[]", '{"QEMU 10": "woody"}', '{"QEMU 10": 7}'])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, damage: str) -> None:
    machine, memory = Machine("bookworm"), tmp_path / "memory"
    memory.write_text(damage)
    assert chosen(memory, "QEMU 10", machine.probe, Progress(quiet=True)) == "bookworm"
    assert machine.tried == ["bookworm"]
