"""The target in the lab: a Linux guest under Xen, which runs commands."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.agent import Result
from tinyvmi_build.lab.options import TargetOptions
from tinyvmi_build.timeouts import VARIABLE, scale, timeout
from tinyvmi_build.xen.xl import parse_list

if TYPE_CHECKING:
    from tinyvmi_build.lab.session import Lab

FILES = "/lab/target"  # vmlinuz and initramfs, in dom0
MODULES = ("nf_tables", "veth")  # that it loads as it starts, with what they need
LATER = ("dummy",)  # that it can load then
LATER_FOLDER = "lib/later"
OPTIONS = "console=hvc0 loglevel=4 panic=-1"  # of its kernel
_MORE_S = 10.0  # to start what asks it, and to hear of its end
_START_S = {"hvm": 360.0}  # firmware and device model are emulated in what is emulated
_USUAL_START_S = 180.0
# A disk of the device model's alone (xl's `disk` would want a block backend, too), on AHCI, which SeaBIOS
# drives by DMA; nothing that such a guest could do without, and no serial port: a line on one takes 0.1 s.
_HVM = f"""type = "hvm"
device_model_args_hvm = [
    "-drive", "file={FILES}/disk,format=raw,if=none,id=disk",
    "-device", "ahci,id=ahci", "-device", "ide-hd,bus=ahci.0,drive=disk",
]
boot = "c"
serial = "null"
vnc = 0
sdl = 0
nographic = 1
vga = "none"
usb = 0
"""


class Target:
    """A running guest.  Make one with `Lab.create_target`."""

    def __init__(self, lab: Lab, name: str, domid: int, release: str):
        self._lab = lab
        self.name = name
        self.domid = domid
        self.release = release  # what its uname -r says
        self._numbers = itertools.count(1)

    def run(self, command: str, seconds: float = 30) -> Result:
        """Run a shell command inside the guest, which has to be done after `seconds`."""
        words = (str(self.domid), str(next(self._numbers)), str(seconds), command)
        argv = dom0_command("dom0.ask", *words)
        return self._lab.run(argv, seconds + _MORE_S)

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes of its memory at physical `address`, through a mapping in dom0."""
        return self._lab.agent.peek(self.domid, address, length)

    def write(self, address: int, data: bytes) -> bytes:
        """Write to its memory from dom0; the bytes that were there."""
        return self._lab.agent.poke(self.domid, address, data)

    def destroy(self) -> None:
        """End the guest."""
        self._lab.run(["xl", "destroy", str(self.domid)]).check()

    def pause(self) -> None:
        """Stop its vcpus; its memory stays there to be read and written."""
        self._lab.run(["xl", "pause", str(self.domid)]).check()

    def unpause(self) -> None:
        self._lab.run(["xl", "unpause", str(self.domid)]).check()

    def register(self, vcpu: int, name: str, value: int | None = None) -> int:
        """What register `name` (lab/registers.py) of a paused guest's vCPU holds; `value` is put there."""
        argv = dom0_command("registers", str(self.domid), str(vcpu), name)
        return int(self._lab.run([*argv, *([hex(value)] if value is not None else [])]).check().out, 16)

    def revive(self) -> bool:
        """Start it anew, as by default, if it has died; whether it had."""
        if domid_of(self._lab, self.name) == self.domid:
            return False
        self._lab.run(["xl", "destroy", self.name])
        new = create(self._lab, self.name, TargetOptions())
        self.domid, self.release = new.domid, new.release
        self._numbers = itertools.count(1)
        return True

    @property
    def console(self) -> str:
        """What it has printed so far."""
        return self._lab.guest_console(self.name)


def dom0_command(module: str, *words: str) -> list[str]:
    """The command that runs a module of the lab in dom0, with time limits scaled as they are here."""
    return ["env", f"{VARIABLE}={scale():.2f}", "python3", "-m", f"tinyvmi_build.lab.{module}", *words]


def write_config(lab: Lab, name: str, options: TargetOptions) -> str:
    """Put the guest's xl config into dom0; its path there."""
    if options.kind == "pvh-grub":
        boot = f'type = "pvh"\nkernel = "{FILES}/grub.elf"\n'
    elif options.kind == "hvm":
        boot = _HVM
    else:
        boot = (
            f'type = "{options.kind}"\nkernel = "{FILES}/vmlinuz"\nramdisk = "{FILES}/initramfs"\n'
            f'extra = "{OPTIONS} {options.extra}"\n'
        )
    config = (
        f'name = "{name}"\n{boot}memory = {options.memory_mib}\n'
        f'vcpus = {options.vcpus}\non_crash = "destroy"\non_reboot = "destroy"\n'
    )
    if options.label:
        config += f'seclabel = "{options.label}"\n'
    path = f"/lab/{name}.cfg"
    lab.agent.put(path, config.encode())
    return path


def create(lab: Lab, name: str, options: TargetOptions) -> Target:
    """Start a guest and wait until its init says so; one retry, which is reported."""
    path = write_config(lab, name, options)
    seconds = timeout(_START_S.get(options.kind, _USUAL_START_S))
    with lab.progress.step(f"start the target '{name}'"):
        try:
            return _start(lab, name, path, seconds)
        except _Died as died:
            # The emulation of SVM loses about one guest start in ten to a triple fault.
            lab.progress.warn(f"the target died while it started ({died}); once more")
            lab.run(["xl", "destroy", name])
        try:
            return _start(lab, name, path, seconds)
        except _Died as died:
            raise MissingEnvironmentError(
                f"the target '{name}' died twice while it started: {died}"
            ) from None


class _Died(Exception):
    pass


def _start(lab: Lab, name: str, config: str, seconds: float) -> Target:
    log = f"/var/log/xen/console/guest-{name}.log"
    lab.run(["rm", "-f", log])
    lab.run(["xl", "create", config], 60).check()
    follow = lab.spawn(["sh", "-c", f"until [ -e {log} ]; do usleep 50000; done; exec tail -n +1 -f {log}"])
    said: list[str] = []
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            try:
                for line in follow.lines(3):
                    said.append(line)
                    ready = guest.READY.search(line)
                    if ready:
                        return Target(lab, name, domid_of(lab, name), ready[1])
            except TimeoutError:
                if domid_of(lab, name) < 0:
                    raise _Died("\n".join(said[-5:]) or "it said nothing") from None
    finally:
        follow.kill()
    tail = "\n".join(said[-15:])
    raise MissingEnvironmentError(f"the target '{name}' did not come up in {seconds:g} s\n{tail}")


def domid_of(lab: Lab, name: str) -> int:
    """The number of domain `name` in the lab, -1 if it is not there."""
    found = parse_list(lab.run(["xl", "list"]).check().out)
    return next((domain.domid for domain in found if domain.name == name and not domain.gone), -1)
