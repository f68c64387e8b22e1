"""Digests in vector registers while Xen gives the processor to others: a lost register would be a finding."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.widest import sources_without_timing
from tinyvmi_build.config.load import load
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.monitor import Monitor
from tinyvmi_build.lab.options import AVX2_CPU, MachineOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.terminal import Terminal

SCANS = 30


@pytest.fixture(scope="module")
def watching(qemu: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Monitor]]:
    """A monitor that digests by AVX2 even where something else is faster, as it is under emulation."""
    with sources_without_timing(tmp_path_factory.mktemp("sources")):
        loaded = load(own_project(Progress()), ["golden.hash=blake3"], env={})
        built = build_monitor(loaded, folder=tmp_path_factory.mktemp("build"))
    files: dict[str, Path | bytes] = dict(monitor_files(built))
    with Lab(files, MachineOptions(folder=tmp_path_factory.mktemp("lab"), cpu=AVX2_CPU)) as lab:
        explain = Explainer(ProfileFile.load(built.profile))
        monitor = Monitor(lab, lab.create_target(), Terminal(sys.stdout, explain), period="50ms")
        monitor.wait_kernel()
        yield lab, monitor
        monitor.stop()


def test_pages_are_intact_while_others_use_the_registers(watching: tuple[Lab, Monitor]) -> None:
    lab, monitor = watching
    assert monitor.hello is not None and monitor.hello["digest"] == "blake3/avx2"
    # As many as there are processors; the C library's own copying goes by vector registers, too.
    busy = "while :; do head -c 1000000 /dev/zero | nice -n 19 sort >/dev/null; done"
    for _ in range(2):
        assert lab.run(["sh", "-c", f"({busy}) >/dev/null 2>&1 &"]).status == 0
    assert monitor.steady(Verdict.INTACT, SCANS) == (Verdict.INTACT, SCANS)
