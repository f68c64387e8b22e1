"""A target that writes to its own kernel, by a module of ours (minios_app/bench/poke.c)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyvmi_build.checks.text.patch_sites import Places
from tinyvmi_build.checks.text.regions import Kind
from tinyvmi_build.lab.machine.kernel_module import built_module
from tinyvmi_build.lab.machine.packages import SUITE
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.paths import data_dir
from tinyvmi_build.profile.profile import KernelProfile

MODULE = "lib/poke.ko"  # in the target


def poke_module(kernel_deb: Path, suite: str = SUITE) -> Path:
    """The module by which a target that boots that package writes."""
    return built_module(data_dir("minios_app") / "bench" / "poke.c", kernel_deb, suite)


@dataclass(frozen=True)
class Place:
    """Where the target writes: running address, what stands there, what is put there."""

    check: str
    address: int
    good: bytes
    bad: bytes


def in_text(kernel: KernelProfile) -> int:
    """Link address of plain code that the guest does not run, in machine_kexec()."""
    va = kernel.symbols.lookup("machine_kexec")
    places = Places(kernel)
    at = next(p for p in places.of(Kind.FTRACE) if va <= p.va < va + 32).va + 5
    while any(places.at(at + n) for n in range(4)):
        at += 1
    return at


def in_rodata(kernel: KernelProfile) -> int:
    """Link address of a pointer that the guest does not use: llseek of /dev/full."""
    return kernel.symbols.lookup("full_fops") + 8


def place(guest: LiveGuest, check: str) -> Place:
    """A place that the check `text` or `rodata` compares."""
    at = {"text": in_text, "rodata": in_rodata}[check](guest.profile)
    good = guest.read(at, 4)
    return Place(check, at + guest.delta, good, bytes(byte ^ 0x11 for byte in good))


def write(target: Target, how: str, at: Place, data: bytes) -> None:
    """Have the target write `data` there now; `how`: see poke.c."""
    target.run(f"echo {how} {at.address:x} {data.hex()} > /proc/poke").check()


def drive(lab: Lab, target: Target, domain: str, how: str, at: Place, count: int) -> list[dict[str, Any]]:
    """What dom0/drive.py says of `count` writes that the monitor in `domain` has to tell of."""
    logs = [f"/var/log/xen/console/guest-{name}.log" for name in (target.name, domain)]
    argv = [str(target.domid), *logs, str(count), how, f"{at.address:x}", at.bad.hex(), at.good.hex()]
    said = lab.run(["python3", "-m", "tinyvmi_build.lab.dom0.drive", *argv], 60 + 20 * count).check().out
    return [json.loads(line) for line in said.splitlines()]
