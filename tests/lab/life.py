"""A target with a life, and `launch` following it: what test_life.py plays with."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.dump.live import build_kexec
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.packages import fetch_kernel, unpacked_kernel, vmlinuz_of
from tinyvmi_build.lab.play import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import FILES as TARGET
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.xen.patience import VARIABLE, timeout

NAME = "life"  # of the target
FOLDER = "/lab/life"  # in dom0: another kernel, and an initramfs that can start it
MONITOR = "/lab/life-monitor"  # in dom0: a monitor that knows both kernels
OTHER = ("linux-image-cloud-amd64", "bullseye")
_MEMORY_MIB = 192


def files(scratch: Path) -> dict[str, Path | bytes]:
    """What the lab's dom0 needs for it."""
    other = fetch_kernel(*OTHER)
    vmlinuz = vmlinuz_of(unpacked_kernel(other))
    packages = [str(fetch_kernel()), str(other)]
    project = scratch / "tinyvmi.toml"
    project.write_text(
        f'[monitor]\nname = "life"\n[target]\ndomain = "{NAME}"\n'
        f"[kernel]\npackages = {json.dumps(packages)}\n"
    )
    built = build_monitor(load(project, env={}), folder=scratch / "build")
    inside: dict[str, bytes | Path] = {
        "kexec": build_kexec(scratch),
        "vmlinuz": vmlinuz,
        "initramfs": guest.initramfs(),
    }
    return {
        **monitor_files(built, MONITOR),
        f"{FOLDER}/vmlinuz": vmlinuz,
        f"{FOLDER}/initramfs": guest.initramfs(files=inside),
    }


class Life:
    """The target: `start` it, then see which domain it is now."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._log = f"/var/log/xen/console/guest-{NAME}.log"

    def start(self, *, other: bool = False, ramdisk: str = f"{FOLDER}/initramfs") -> None:
        """Create its domain; with `other` it boots the other kernel."""
        config = (
            f'name = "{NAME}"\ntype = "pvh"\nkernel = "{FOLDER if other else TARGET}/vmlinuz"\n'
            f'ramdisk = "{ramdisk}"\nextra = "console=hvc0 loglevel=4 panic=-1"\n'
            f"memory = {_MEMORY_MIB}\nmaxmem = {_MEMORY_MIB}\nvcpus = 1\n"
            'on_crash = "restart"\non_reboot = "restart"\n'
        )
        self.lab.agent.put(f"/run/{NAME}.cfg", config.encode())
        self.lab.run(["xl", "create", f"/run/{NAME}.cfg"], 120).check()

    @property
    def boots(self) -> int:
        """How often its init has said that it is up."""
        return len(guest.READY.findall(self.lab.guest_console(NAME)))

    def up(self, boots: int, seconds: float = 180) -> Target:
        """Wait until its init has come up `boots` times in all; it, as it is now."""
        deadline = time.monotonic() + timeout(seconds)
        while self.boots < boots:
            assert time.monotonic() < deadline, self.lab.guest_console(NAME)[-2000:]
            time.sleep(0.5)
        release = guest.READY.findall(self.lab.guest_console(NAME))[-1]
        return Target(self.lab, NAME, domid_of(self.lab, NAME), str(release))

    def destroy(self) -> None:
        self.lab.run(["sh", "-c", f"xl destroy {NAME} 2>/dev/null; true"])


class Follower:
    """`launch --json` over it: events as they come."""

    def __init__(self, lab: Lab, *options: str, folder: str = MONITOR):
        argv = ["tinyvmi-build", "launch", folder, "--target", NAME, "--period", "300ms", "--json", *options]
        self._remote = lab.spawn(["env", f"{VARIABLE}={os.environ.get(VARIABLE, '1')}", *argv])
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.status: int | None = None

    def until(self, condition: Callable[[dict[str, Any]], Any], seconds: float, what: str) -> dict[str, Any]:
        """The first event from now on for which `condition` holds."""
        deadline = time.monotonic() + timeout(seconds)
        while True:
            event = self.next(deadline, what)
            if event is not None and condition(event):
                return event

    def next(self, deadline: float, what: str) -> dict[str, Any] | None:
        try:
            kind, line = self._remote.next(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise AssertionError(f"{what} did not come: {self.events[-5:]} {self.said[-5:]}") from None
        if kind == "exit":
            self.status = int(line)
            raise AssertionError(
                f"launch ended with {line} while {what} was due: {self.events[-8:]} {self.said}"
            )
        if kind == "err":
            self.said.append(line)
            return None
        event: dict[str, Any] = json.loads(line)
        self.events.append(event)
        return event

    def attached(self, seconds: float = 120) -> dict[str, Any]:
        return self.until(lambda event: event["event"] == "attached", seconds, "a monitor")

    def kernel(self, seconds: float = 180) -> dict[str, Any]:
        """The record of the kernel that is found next."""
        found = self.until(
            lambda event: event["event"] == "record" and event["record"]["t"] == "kernel", seconds, "a kernel"
        )
        record: dict[str, Any] = found["record"]
        return record

    def scans(self, number: int, seconds: float = 60) -> list[str]:
        """The verdicts of the next `number` scans."""
        return [
            self.until(lambda event: event["event"] == "scan", seconds, "a scan")["verdict"]
            for _ in range(number)
        ]

    def intact(self, number: int) -> None:
        """The next `number` scans have to find nothing."""
        verdicts = self.scans(number)
        told = [e["record"] for e in self.events if e["event"] == "record"][-40:]
        bad = [r for r in told if r["t"] == "finding" or r.get("verdict") not in (None, "intact")]
        assert verdicts == ["intact"] * number, bad

    def ended(self, seconds: float = 120) -> dict[str, Any]:
        """The end of the run over the domain that is watched now."""
        return self.until(lambda event: event["event"] == "run", seconds, "the end of the target")

    def stop(self) -> None:
        if self.status is None:
            self._remote.kill(signal.SIGINT)
            self._remote.wait(60)

    @property
    def checks(self) -> list[tuple[str, str]]:
        """(check, verdict) of all that was said."""
        records = [event["record"] for event in self.events if event["event"] == "record"]
        return [(record["check"], record["verdict"]) for record in records if record["t"] == "check"]


def release_in(text: str) -> str:
    """The release in a banner."""
    match = re.match(r"Linux version (\S+) ", text)
    assert match, text
    return match[1]
