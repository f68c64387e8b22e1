"""A target with a life, and `launch` following it: what test_life.py plays with."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dump.live import build_kexec
from tinyvmi_build.checks.tamper import change
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_monitor
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine.packages import fetch_kernel, unpacked_kernel, vmlinuz_of
from tinyvmi_build.lab.monitor import LiveGuest
from tinyvmi_build.lab.runner import monitor_files
from tinyvmi_build.lab.session import Lab
from tinyvmi_build.lab.target import FILES as TARGET
from tinyvmi_build.lab.target import Target, domid_of
from tinyvmi_build.timeouts import VARIABLE, scale, timeout

NAME = "life"  # of the target
FOLDER = "/lab/life"  # in dom0: another kernel, and an initramfs that can start it
MONITOR = "/lab/life-monitor"  # in dom0: a monitor that knows both kernels
STOPPED = "the kernel that was watched does not run any more"
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
    target_files: dict[str, bytes | Path] = {
        "kexec": build_kexec(scratch),
        "vmlinuz": vmlinuz,
        "initramfs": guest.initramfs(),
    }
    return {
        **monitor_files(built, MONITOR),
        f"{FOLDER}/vmlinuz": vmlinuz,
        f"{FOLDER}/initramfs": guest.initramfs(files=target_files),
    }


@dataclass
class Life:
    """The target: `start` it, then see which domain it is now.  `label`: of FLASK."""

    lab: Lab
    name: str = NAME
    kind: str = "pvh"
    vcpus: int = 1
    label: str = ""

    def start(self, *, other: bool = False, ramdisk: str = f"{FOLDER}/initramfs", more: str = "") -> None:
        """Create its domain; with `other` it boots the other kernel.  `more` of xl's settings, which win."""
        kernel = f"{FOLDER if other else TARGET}/vmlinuz"
        config = (
            f'name = "{self.name}"\ntype = "{self.kind}"\nkernel = "{kernel}"\n'
            f'ramdisk = "{ramdisk}"\nextra = "console=hvc0 loglevel=4 panic=-1"\n'
            f"memory = {_MEMORY_MIB}\nmaxmem = {_MEMORY_MIB}\nvcpus = {self.vcpus}\n"
            f'on_crash = "restart"\non_reboot = "restart"\n{more}'
        )
        if self.label:
            config += f'seclabel = "{self.label}"\n'
        self.lab.agent.put(f"/run/{self.name}.cfg", config.encode())
        self.lab.run(["xl", "create", f"/run/{self.name}.cfg"], 120).check()

    @property
    def boots(self) -> int:
        """How often its init has said that it is up."""
        return len(guest.READY.findall(self.lab.guest_console(self.name)))

    def up(self, boots: int, seconds: float = 180) -> Target:
        """Wait until its init has come up `boots` times in all; it, as it is now."""
        deadline = time.monotonic() + timeout(seconds)
        while self.boots < boots:
            assert time.monotonic() < deadline, self.lab.guest_console(self.name)[-2000:]
            time.sleep(0.5)
        release = guest.READY.findall(self.lab.guest_console(self.name))[-1]
        return Target(self.lab, self.name, domid_of(self.lab, self.name), str(release))

    def destroy(self) -> None:
        self.lab.run(["sh", "-c", f"xl destroy {self.name} 2>/dev/null; true"])


class Follower:
    """`launch --json` over it: events as they come."""

    def __init__(self, lab: Lab, *options: str, folder: str = MONITOR, target: str = NAME):
        argv = [
            "tinyvmi-build",
            "launch",
            folder,
            "--target",
            target,
            "--period",
            "300ms",
            "--json",
            *options,
        ]
        self._remote = lab.spawn(["env", f"{VARIABLE}={scale():.2f}", *argv])
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
        found = self.until(lambda event: event.get("record", {}).get("type") == "kernel", seconds, "a kernel")
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
        reported = [e["record"] for e in self.events if e["event"] == "record"][-40:]
        bad = [r for r in reported if r["type"] == "finding" or r.get("verdict") not in (None, "intact")]
        assert verdicts == ["intact"] * number, bad

    def settled(self, seconds: float = 120) -> None:
        """Wait for a scan yet to come that says intact: modules that are being loaded are unverifiable."""
        deadline = time.monotonic() + timeout(seconds)
        while not self._remote.inbox.empty():
            self.next(deadline, "an event")
        self.until(lambda event: event["event"] == "scan" and event["verdict"] == "intact", seconds, "intact")

    def tampered(self, seconds: float = 60) -> None:
        """A scan from now on has to say so."""
        self.until(
            lambda event: event["event"] == "scan" and event["verdict"] == "tampered", seconds, "tampered"
        )

    def waiting(self, reason: str, seconds: float = 60) -> None:
        self.until(
            lambda event: event.get("record", {}).get("reason") == reason, seconds, f"waiting: {reason}"
        )

    def ended(self, seconds: float = 120) -> dict[str, Any]:
        """The end of the run over the domain that is watched now."""
        return self.until(lambda event: event["event"] == "run", seconds, "the end of the target")

    def stop(self) -> None:
        if self.status is None:
            self._remote.kill(signal.SIGINT)
            self._remote.wait(60)

    def asked_to_end(self, number: int) -> dict[str, Any]:
        """Send a signal; the `result` that follows."""
        self._remote.kill(number)
        done = self._remote.wait(60)
        self.status = done.status
        event: dict[str, Any] = json.loads(done.out.splitlines()[-1])
        assert event["event"] == "result", done
        return event

    @property
    def checks(self) -> list[tuple[str, str]]:
        """(check, verdict) of all that was said."""
        records = [event["record"] for event in self.events if event["event"] == "record"]
        return [(record["check"], record["verdict"]) for record in records if record["type"] == "check"]


def hotplug(follower: Follower, life: Life) -> None:
    """All processors but the first go and come while it is watched: it has to be intact throughout."""
    target = life.up(1)
    for state, online in (("0", "0"), ("1", f"0-{life.vcpus - 1}")) * 2:
        script = "; ".join(
            f"echo {state} > /sys/devices/system/cpu/cpu{n}/online" for n in range(1, life.vcpus)
        )
        target.run(script).check()
        assert target.run("cat /sys/devices/system/cpu/online").check().out.split()[-1] == online
        follower.intact(4)
    target.run("echo 0 > /sys/devices/system/cpu/cpu2/online").check()
    follower.intact(4)
    target.run("echo 1 > /sys/devices/system/cpu/cpu2/online").check()
    follower.intact(2)


def tampered_and_back(follower: Follower, memory: LiveGuest) -> None:
    """A system call, and the root of the kernel's page tables, changed and put back."""
    for name in ("syscall-table-getdents64", "page-tables-root"):
        undo = change(name).apply(memory)
        follower.tampered()
        undo()
        follower.settled()


def release_in(text: str) -> str:
    """The release in a banner."""
    match = re.match(r"Linux version (\S+) ", text)
    assert match, text
    return match[1]


def busy_and_paused(follower: Follower, life: Life) -> None:
    """All processors used up, then none: intact throughout."""
    target = life.up(1)
    target.run("for n in 1 2 3 4; do (while :; do :; done) & echo $!; done > /tmp/busy").check()
    follower.intact(8)
    target.run("kill $(cat /tmp/busy)").check()
    target.pause()
    follower.intact(10)
    target.unpause()
    follower.intact(3)


def ballooned(follower: Follower, life: Life) -> None:
    """Frames go and come back while it is watched."""
    for mib in ("128", "192", "140", "192"):
        life.lab.run(["xl", "mem-set", life.name, mib], 120).check()
        follower.intact(4)
