"""A lab that dies is booted again for the tests that follow."""

from pathlib import Path

import pytest

from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.lab.session import Lab


@pytest.mark.long
def test_a_lab_whose_dom0_has_crashed_boots_again(qemu: None, tmp_path: Path) -> None:
    with Lab(options=MachineOptions(folder=tmp_path)) as lab:
        target = lab.create_target()
        assert lab.revive() == "" and not target.revive()
        target.destroy()
        assert target.revive()
        target.run("true").check()
        lab.spawn(["sh", "-c", "echo c > /proc/sysrq-trigger"])
        assert lab.revive()
        assert (tmp_path / "console.1.log").exists()
        assert target.revive()
        target.run("true").check()
