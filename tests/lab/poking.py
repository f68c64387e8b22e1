"""A target that writes to its own kernel, and monitors that know how it does: for test_look.py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dump.guest_programs import built_module
from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.golden.text.places import Places
from tinyvmi_build.golden.text.regions import Kind
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.packages import SUITE, fetch_kernel
from tinyvmi_build.lab.play import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import Target
from tinyvmi_build.profile.profile import KernelProfile

HERE = Path(__file__).parent / "poke"
DRIVER = "/lab/poke/drive.py"  # in dom0
PROCESSOR_TIME = "/lab/processor_time.py"  # there, too
MODULE = "lib/poke.ko"  # in the target
USUAL = ("bytes", "digest")  # the monitors of every test run; the others take --long
#: Each scans so seldom that what it tells within a test, looks have told.  What is special about it:
MONITORS = {
    "bytes": (),
    "digest": ("golden.compare=digest",),
    "blind": ("monitor.look=0ms",),
    "sliced": ("monitor.slice=2000", "monitor.period=2s"),
    "small": ("golden.compare=digest", "monitor.memory=16"),
    "many": (),
}
#: Kernels that a monitor knows beside the one that the target boots: (metapackage, suite).
ALSO = {"many": (("linux-image-amd64", SUITE), ("linux-image-cloud-amd64", "bullseye"))}


def module() -> Path:
    """The module by which the target writes, for the kernel that it boots."""
    return built_module(HERE / "poke.c", fetch_kernel(), SUITE)


def project(folder: Path, name: str, *sets: str) -> Loaded:
    """The monitor `name`, to which the module is known."""
    file = folder / f"{name}.toml"
    packages = [str(fetch_kernel()), *(str(fetch_kernel(*kernel)) for kernel in ALSO.get(name, ()))]
    file.write_text(
        f'[monitor]\nname = "look-{name}"\nperiod = "10m"\njitter = 0\n[target]\ndomain = "target"\n'
        f"[kernel]\npackages = {json.dumps(packages)}\nmodules = [{json.dumps(str(module()))}]\n"
    )
    return load(file, sets, env={})


def folder_of(name: str) -> str:
    """In dom0."""
    return f"/lab/look-{name}"


def domain_of(name: str) -> str:
    return f"tinyvmi-look-{name}"


def files(scratch: Path, names: Iterable[str] = USUAL) -> dict[str, Path | bytes]:
    """What the lab's dom0 needs for it, with the monitors `names`."""
    found: dict[str, Path | bytes] = {
        DRIVER: HERE / "drive.py",
        PROCESSOR_TIME: HERE.parent / "processor_time.py",
    }
    for name in names:
        built = build_monitor(project(scratch, name, *MONITORS[name]), folder=scratch / name)
        found |= monitor_files(built, folder_of(name))
    return found


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
    at = {"text": in_text, "rodata": in_rodata}[check](guest.profile)
    good = guest.read(at, 4)
    return Place(check, at + guest.delta, good, bytes(byte ^ 0x11 for byte in good))


def write(target: Target, how: str, at: Place, data: bytes) -> None:
    """Have the target write `data` there now."""
    target.run(f"echo {how} {at.address:x} {data.hex()} > /proc/poke").check()


def drive(lab: Lab, target: Target, name: str, how: str, at: Place, count: int) -> list[dict[str, Any]]:
    """What poke/drive.py says of `count` writes that monitor `name` has to tell of."""
    logs = [f"/var/log/xen/console/guest-{domain}.log" for domain in (target.name, domain_of(name))]
    argv = [str(target.domid), *logs, str(count), how, f"{at.address:x}", at.bad.hex(), at.good.hex()]
    said = lab.run(["python3", DRIVER, *argv], 60 + 20 * count).check().out
    return [json.loads(line) for line in said.splitlines()]
