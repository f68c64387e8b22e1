"""A target that writes to its own kernel, by a module of ours (minios_app/bench/poke.c)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.checks import registry
from tinyvmi_build.lab.dom0.drive import WriteReport
from tinyvmi_build.lab.machine.kernel_module import built_module
from tinyvmi_build.lab.machine.packages import SUITE
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target, dom0_command
from tinyvmi_build.paths import data_dir

MODULE = "lib/poke.ko"  # in the target


def poke_module(kernel_deb: Path, suite: str = SUITE) -> Path:
    """The module by which a target that boots that package writes."""
    return built_module(data_dir("minios_app") / "bench" / "poke.c", kernel_deb, suite)


@dataclass(frozen=True)
class Site:
    """Where the target writes: running address, what stands there, what is put there."""

    check: str
    address: int
    good: bytes
    bad: bytes


def site(guest: LiveGuest, check: str) -> Site:
    """A place that `check`, which has an incremental form, compares."""
    found = registry.find(check)
    assert found is not None and found.unused_address is not None, check
    at = found.unused_address(guest.profile)
    good = guest.read(at, 4)
    return Site(check, at + guest.delta, good, bytes(byte ^ 0x11 for byte in good))


def write(target: Target, how: str, at: Site, data: bytes) -> None:
    """Have the target write `data` there now; `how`: see poke.c."""
    target.run(f"echo {how} {at.address:x} {data.hex()} > /proc/poke").check()


def drive(lab: Lab, target: Target, domain: str, how: str, at: Site, count: int) -> list[WriteReport]:
    """What dom0/drive.py measures of `count` writes that the monitor in `domain` has to report."""
    logs = [f"/var/log/xen/console/guest-{name}.log" for name in (target.name, domain)]
    argv = [str(target.domid), *logs, str(count), how, f"{at.address:x}", at.bad.hex(), at.good.hex()]
    said = lab.run(dom0_command("dom0.drive", *argv), 60 + 180 * count).check().out
    return [WriteReport(**json.loads(line)) for line in said.splitlines()]
