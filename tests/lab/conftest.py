"""One nested lab for all tests here: Xen, dom0, a target, a monitor and the misbehaving images."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab import code_writes as poking
from tests.lab import liveness as life
from tests.lab.misbehave import build, folder
from tests.lab.reaching import IMAGE
from tinyvmi_build.config.load import load
from tinyvmi_build.dump.checker import dom0_checker
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.lab.code_writes import MODULE
from tinyvmi_build.lab.machine.qemu import BINARY
from tinyvmi_build.lab.options import MachineOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile
from tinyvmi_build.progress import Progress

TEXT_PA = 0x1000000  # the kernel's own load address
SMOKE = "/lab/smoke.elf"  # in dom0: the base's own tests
DOM0 = "/lab/tinyvmi-dom0"  # in dom0: the same core as a process of it
_labs: list[Lab] = []  # the one that all tests share, once it runs; and its target
_targets: list[Target] = []
_failed: list[str] = []  # tests that failed since the lab was last seen to be well
BAD = "/lab/bad"  # in dom0: a build folder for each mode of the misbehaving image


@pytest.fixture(scope="session", autouse=True)
def qemu() -> None:
    if shutil.which(BINARY) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{BINARY} is missing, and CI has to run the lab")
        pytest.skip(f"{BINARY} is missing")


@pytest.fixture(scope="session")
def built(qemu: None, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    """The lab's own monitor, for today's cloud kernel."""
    loaded = load(own_project(Progress()), env={})
    return build_monitor(loaded, folder=tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def profiles(built: BuildResult) -> ProfileFile:
    return ProfileFile.load(built.profile)


@pytest.fixture(scope="session")
def lab(
    built: BuildResult,
    profiles: ProfileFile,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Iterator[Lab]:
    misbehave, smoke, reach = build.build_images(tmp_path_factory.mktemp("misbehave"))
    files: dict[str, Path | bytes] = {**monitor_files(built), **folder.files(misbehave, BAD)}
    files |= {SMOKE: smoke, IMAGE: reach}
    files |= {DOM0: dom0_checker(load(own_project(Progress()), env={}), profiles, Progress())}
    files |= life.files(tmp_path_factory.mktemp("life"))
    long = pytestconfig.getoption("--long")
    monitors = poking.MONITORS if long else poking.USUAL
    memory = (2560, 1024) if long else None  # so many monitors with their profiles are some 150 MB
    files |= poking.files(tmp_path_factory.mktemp("poking"), monitors)
    target_files = {MODULE: poking.module()}
    where = tmp_path_factory.mktemp("lab")
    options = MachineOptions(target_files=target_files, folder=where, grub=True, memory_mib=memory)
    with Lab(files, options) as running:
        running.run(["chmod", "+x", DOM0]).check()
        _labs.append(running)
        yield running
        _labs.clear()


@pytest.fixture(scope="session")
def target(lab: Lab) -> Iterator[Target]:
    target = lab.create_target()
    _targets.append(target)
    yield target
    _targets.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        _failed.append(item.nodeid)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """After a failure: a machine or a target that died then is not there to fail all other tests.

    This comes before the fixtures of the next test's module, which would use what is dead.
    """
    if not _failed or not _labs:
        return
    failed = _failed.copy()
    _failed.clear()
    if why := _labs[0].revive():
        _labs[0].run(["chmod", "+x", DOM0]).check()
        print(f"the lab died in {failed[-1]} and is booted again: {why}", file=sys.stderr)
    for target in _targets:
        if target.revive():
            print(f"the target died in {failed[-1]} and is started again", file=sys.stderr)


@pytest.fixture(scope="module")
def poked(target: Target) -> Iterator[Target]:
    """The target, with the module by which it writes."""
    target.run(f"insmod /{MODULE}").check()
    target.run("grep -q tracefs /proc/mounts || mount -t tracefs tracefs /sys/kernel/tracing").check()
    yield target
    target.run("rmmod poke").check()


def without_kaslr(kernel: KernelProfile) -> dict[str, object]:
    """What a monitor's `kernel` record says of a PVH guest that was started at its ELF entry."""
    root = TEXT_PA + kernel.discovery.root_va - kernel.text_va
    return {
        "build_id": kernel.build_id,
        "delta": "0x0",
        "text_pa": hex(TEXT_PA),
        "root_pa": hex(root),
        "levels": 4,
    }
