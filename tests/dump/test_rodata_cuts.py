"""The one place in .rodata that a kernel changes itself, as a kernel has done it."""

from __future__ import annotations

from tests.dump.circumstances import named
from tests.dump.conftest import Subject, run_checker
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel


def test_a_skylake_server_has_cut_its_quirks(subject: Subject) -> None:
    dump = raw_dump(
        fetch_kernel("linux-image-cloud-amd64", "bookworm"), DumpOptions(**named("skylake").boot())
    )
    (cut,) = subject.profile.golden(RodataGolden).cuts
    done = cut.text.replace(",", "\0").encode()
    assert dump.read_bytes().count(b"\0" + done + b"\0") == 1
    assert run_checker(subject.checker, dump).exit == 0
