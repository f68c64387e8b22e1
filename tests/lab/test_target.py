"""The watched guest: its commands and its memory."""

from __future__ import annotations

import pytest

from tests.lab.conftest import without_kaslr
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile

TEXT = 0x1000000  # a PVH guest is started at its ELF entry: no KASLR


def test_commands_run_inside(target: Target) -> None:
    result = target.run("uname -r; exit 3")
    assert (result.status, result.out.strip()) == (3, target.release)


def test_a_syntax_error_does_not_end_the_guest(target: Target) -> None:
    assert target.run("if then (").status != 0
    assert target.run("echo alive").out.strip() == "alive"


def test_memory_holds_the_kernel_of_the_profile(target: Target, profiles: ProfileFile) -> None:
    kernel = profiles.by_release(target.release)
    record = without_kaslr(kernel)
    guest = LiveGuest(target, record, profiles)
    at = kernel.symbols.lookup("linux_banner")
    version = target.run("cat /proc/version").out.strip().encode()
    assert guest.read(at, len(version)) == version
    with pytest.raises(LookupError, match="is not mapped"):
        guest.read(kernel.text_va - 1, 1)


def test_memory_round_trip_across_pages(target: Target) -> None:
    at = TEXT + 0x3000 - 5
    old = target.read(at, 10)
    new = bytes(byte ^ 0xFF for byte in old)
    assert target.write(at, new) == old
    assert target.read(at, 10) == new
    assert target.write(at, old) == new
    assert target.read(at, 10) == old


def test_a_frame_that_is_not_there_is_an_error(target: Target) -> None:
    with pytest.raises(MissingEnvironmentError, match="has no frame"):
        target.read(1 << 40, 4)


def test_memory_by_hand(lab, target: Target) -> None:
    tool = ["python3", "-m", "tinyvmi_build.lab.memory"]
    read = lab.run([*tool, "read", str(target.domid), hex(TEXT), "8"])
    assert bytes.fromhex(read.out) == target.read(TEXT, 8)
    assert lab.run([*tool, "erase", str(target.domid), hex(TEXT), "8"]).status == 2
    assert lab.run([*tool, "read", "999", hex(TEXT), "8"]).status == 4
