"""Monitors of a target that writes to its own kernel, which know how it does: for test_look.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.code_writes import poke_module
from tinyvmi_build.lab.machine.packages import SUITE, fetch_kernel
from tinyvmi_build.lab.runner import monitor_files

PROCESSOR_TIME = "/lab/processor_time.py"  # in dom0
USUAL = ("bytes", "digest")  # the monitors of every test run; the others take --long
#: Each scans so seldom that within a test only incremental checks report.  What is special about it:
MONITORS = {
    "bytes": (),
    "digest": ("golden.comparison=digest",),
    "blind": ("monitor.poll=0ms",),
    "sliced": ("monitor.time_budget=2000", "monitor.period=2s"),
    "small": ("golden.comparison=digest", "monitor.memory=16"),
    "many": (),
}
#: Kernels that a monitor knows beside the one that the target boots: (metapackage, suite).
ALSO = {"many": (("linux-image-amd64", SUITE), ("linux-image-cloud-amd64", "bullseye"))}


def module() -> Path:
    """The module by which the target writes, for the kernel that it boots."""
    if shutil.which("make") is None:
        pytest.skip("a module cannot be built without make")
    return poke_module(fetch_kernel())


def project(folder: Path, name: str, *sets: str) -> Loaded:
    """The monitor `name`, to which the module is known."""
    file = folder / f"{name}.toml"
    packages = [str(fetch_kernel()), *(str(fetch_kernel(*kernel)) for kernel in ALSO.get(name, ()))]
    file.write_text(
        f'[monitor]\nname = "incremental-{name}"\nperiod = "10m"\njitter = 0\n[target]\ndomain = "target"\n'
        f"[kernel]\npackages = {json.dumps(packages)}\nmodules = [{json.dumps(str(module()))}]\n"
    )
    return load(file, sets, env={})


def folder_of(name: str) -> str:
    """In dom0."""
    return f"/lab/incremental-{name}"


def domain_of(name: str) -> str:
    return f"tinyvmi-incremental-{name}"


def files(scratch: Path, names: Iterable[str] = USUAL) -> dict[str, Path | bytes]:
    """What the lab's dom0 needs for it, with the monitors `names`."""
    found: dict[str, Path | bytes] = {PROCESSOR_TIME: Path(__file__).with_name("processor_time.py")}
    for name in names:
        built = build_monitor(project(scratch, name, *MONITORS[name]), folder=scratch / name)
        found |= monitor_files(built, folder_of(name))
    return found
