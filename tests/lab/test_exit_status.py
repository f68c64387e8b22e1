"""launch as a script uses it: one scan, and the exit status."""

from __future__ import annotations

from tests.lab.conftest import without_kaslr
from tinyvmi_build.checks.tamper import change
from tinyvmi_build.lab.monitor import FILES, LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile


def test_exit_status_tells_the_verdict(lab: Lab, target: Target, profiles: ProfileFile) -> None:
    command = ["tinyvmi-build", "launch", FILES, "--scans", "1"]
    kernel = profiles.by_release(target.release)
    record = without_kaslr(kernel)
    guest = LiveGuest(target, record, profiles)
    result = lab.run(command, 120)
    assert (result.status, "INTACT (1 scan)" in result.out) == (0, True), result
    undo = change("syscall-table-getdents64").apply(guest)
    try:
        result = lab.run(command, 120)
    finally:
        undo()
    assert (result.status, "TAMPERED (1 scan)" in result.out) == (5, True), result
