"""A lab of its own: a Xen with XSM, enforcing, and the policy that `render` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.misbehave.build import build_reach
from tests.lab.reaching import IMAGE
from tinyvmi_build.checks.tamper import Change
from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.lab.options import MachineOptions, TargetOptions
from tinyvmi_build.lab.project import own_project
from tinyvmi_build.lab.runner import monitor_files, policy_modules
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress
from tinyvmi_build.render.plan import seclabel

#: The changes that every test run tries, one a mechanism; the others take --long.
USUAL = {
    *("register-lstar", "register-cr3", "benign-register-breakpoint", "register-syscall-callback"),
    *("syscall-table-getdents64", "page-tables-task"),
}
BARE = "/lab/bare"  # in dom0: the build folder of the monitor that may map and nothing else


def tried(changes: Sequence[Change]) -> list[Any]:
    """Parameters for tests of `changes`."""
    return [pytest.param(c, id=c.name, marks=[] if c.name in USUAL else [pytest.mark.long]) for c in changes]


def project(*sets: str) -> Loaded:
    return load(own_project(Progress()), ("privilege.mode=flask", *sets), env={})


@pytest.fixture(scope="package")
def bare() -> Loaded:
    return project("monitor.name=bare", "monitor.period=1s")


@pytest.fixture(scope="package")
def full() -> Loaded:
    return project("privilege.vcpu_context=true")


@pytest.fixture(scope="package")
def built(qemu: None, full: Loaded, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    return build_monitor(full, folder=tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="package")
def profiles(built: BuildResult) -> ProfileFile:
    return ProfileFile.load(built.profile)


@pytest.fixture(scope="package")
def flask_lab(
    built: BuildResult, bare: Loaded, full: Loaded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    bare_built = build_monitor(bare, folder=tmp_path_factory.mktemp("bare"))
    files: dict[str, Path | bytes] = {
        **monitor_files(built),
        **monitor_files(bare_built, BARE),
        IMAGE: build_reach(tmp_path_factory.mktemp("reach")),
    }
    with Lab(
        files,
        MachineOptions(
            policy=policy_modules(bare.config, full.config), folder=tmp_path_factory.mktemp("lab")
        ),
    ) as running:
        yield running


@pytest.fixture(scope="package")
def target(flask_lab: Lab, full: Loaded) -> Target:
    return flask_lab.create_target(options=TargetOptions(label=seclabel(full.config, "target"), vcpus=2))
