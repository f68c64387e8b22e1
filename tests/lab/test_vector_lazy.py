"""Vector registers of PV domains that share a processor, saved by Xen at each switch or at the next use.

Three domains use them with contents of their own on one processor: two that check them after each absence
(misbehave/keeper.c) and a monitor that digests.  dom0 has the other processor and one vCPU, to which nobody
else comes: what becomes of its programs says nothing here.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from tests.lab.misbehave.build import build_keeper
from tests.lab.widest import sources_without_timing
from tinyvmi_build.config.load import load
from tinyvmi_build.explain.explainer import Explainer
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.lab.monitor import Monitor
from tinyvmi_build.lab.options import AVX2_CPU, MachineOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.terminal import Terminal
from tinyvmi_build.timeouts import timeout

KEEPER = "/lab/keeper.elf"  # in dom0
SSE41_CPU = "qemu64,+svm,+npt,+ssse3,+sse4.1"  # no XSAVE: state as FXSAVE has it
SCANS = 30
ROUNDS = 3000
_PLAIN_LIBC = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-XSAVE,-XSAVEC"
_LINE = re.compile(r"KEEPER (\S+) (\d+) (\d+)")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_keeper(tmp_path_factory.mktemp("keeper"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    """A monitor that digests each time by as wide registers as there are."""
    with sources_without_timing(tmp_path_factory.mktemp("sources")):
        loaded = load(own_project(Progress()), ["golden.hash=blake3", "golden.comparison=digest"], env={})
        return build_monitor(loaded, folder=tmp_path_factory.mktemp("build"))


def _by_xl(lab: Lab, *words: str) -> None:
    """Under lazy switching dom0's own programs die now and then (docs/guide/lab.md)."""
    for _ in range(5):
        done = lab.run(["env", _PLAIN_LIBC, "xl", *words], 60)
        if not done.status or "already exists" in done.err:
            return
        print(f"xl {' '.join(words)} ended with {done.status}: {done.err[-200:]}")
    done.check()


def _keep(lab: Lab, name: str, pattern: str) -> None:
    """Start a domain that keeps `pattern`, on the second processor."""
    config = (
        f'name = "{name}"\ntype = "pv"\nkernel = "{KEEPER}"\nextra = "{pattern}"\nmemory = 16\n'
        'on_crash = "preserve"\n'
    )
    lab.agent.put(f"/lab/{name}.cfg", config.encode())
    _by_xl(lab, "create", f"/lab/{name}.cfg")
    _by_xl(lab, "vcpu-pin", name, "all", "1")


def _registers_intact(lab: Lab, name: str) -> tuple[str, int, int]:
    """(unit, rounds, of them lost), once there were enough."""
    deadline = time.monotonic() + timeout(120)
    while True:
        said = lab.guest_console(name)
        found = _LINE.findall(said)
        if found and int(found[-1][1]) >= ROUNDS:
            unit, rounds, lost = found[-1]
            return unit, int(rounds), int(lost)
        assert time.monotonic() < deadline, said[-1000:]
        time.sleep(1)


@pytest.mark.parametrize(
    ("cpu", "switching", "variant", "unit"),
    [
        pytest.param(AVX2_CPU, "spec-ctrl=eager-fpu", "blake3/avx2", "avx2", id="avx2-eager"),
        pytest.param(AVX2_CPU, "spec-ctrl=no-eager-fpu", "blake3/avx2", "avx2", id="avx2-lazy"),
        pytest.param(SSE41_CPU, "spec-ctrl=no-eager-fpu", "blake3/sse4.1", "sse", id="sse-lazy"),
    ],
)
def test_registers_of_domains_on_one_processor(
    keeper: Path,
    built: BuildResult,
    tmp_path: Path,
    cpu: str,
    switching: str,
    variant: str,
    unit: str,
) -> None:
    files: dict[str, Path | bytes] = {**monitor_files(built), KEEPER: keeper}
    options = f"{switching} dom0_max_vcpus=1 dom0_vcpus_pin"
    with Lab(files, MachineOptions(folder=tmp_path, cpu=cpu, xen_options=options)) as lab:
        print(re.findall(r"\(XEN\) +Support for PV VMs: .*", lab.console_log))
        target = lab.create_target()
        _by_xl(lab, "vcpu-pin", target.name, "all", "1")
        config = "/lab/monitor/tinyvmi-lab.cfg"
        lab.run(["sh", "-c", f"echo 'cpus = \"1\"' >> {config}"]).check()
        explain = Explainer(ProfileFile.load(built.profile))
        monitor = Monitor(lab, target, Terminal(sys.stdout, explain), period="50ms")
        monitor.wait_kernel()
        for number in "13":
            _keep(lab, f"keeper{number}", number)
        assert monitor.hello is not None and monitor.hello["digest"] == variant
        seen = monitor.steady(Verdict.INTACT, SCANS)
        intact = {name: _registers_intact(lab, name) for name in ("keeper1", "keeper3")}
        pinned = lab.run(["xl", "vcpu-list"]).out
        print(f"{switching}: monitor {seen}, {intact}\n{pinned}")
        monitor.stop()
    assert seen == (Verdict.INTACT, SCANS)
    assert {name: (said[0], said[2]) for name, said in intact.items()} == {
        "keeper1": (unit, 0),
        "keeper3": (unit, 0),
    }
