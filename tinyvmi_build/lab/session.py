"""One nested lab: QEMU, Xen, dom0, and what is asked of them."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.lab import guest, target
from tinyvmi_build.lab.agent import Client, Remote, Result
from tinyvmi_build.lab.guest.modules import in_order
from tinyvmi_build.lab.machine import device_model, grub, initramfs
from tinyvmi_build.lab.machine.hypervisor import xsm_hypervisor, xsm_policy
from tinyvmi_build.lab.machine.packages import (
    SUITE,
    fetch_kernel,
    unpacked_kernel,
    vmlinuz_of,
    xen_hypervisor,
)
from tinyvmi_build.lab.machine.qemu import Qemu
from tinyvmi_build.lab.options import AVX2_CPU, MachineOptions, TargetOptions
from tinyvmi_build.lab.xen_choice import working_suite
from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import timeout

# With lazy switching, as Xen up to 4.21 has it on processors of this kind, programs of dom0 lose AVX
# registers under this emulator, whatever runs in other domains.
_EAGER = " spec-ctrl=eager-fpu"
SHARE = "share"
_MEMORY_MIB = 2048
_DOM0_MIB = 768
# With a device model there: it is 20 MB twice over while dom0 unpacks it, and works for each HVM guest.
_HVM_MEMORY_MIB = 2560
_HVM_DOM0_MIB = 1024
_DEADLY = ("Kernel panic", "Panic on CPU", "FATAL TRAP", "FATAL PAGE FAULT", "Domain 0 crashed")


class Lab:
    """Context manager.  What it writes stays in its folder if the options say so, or on failure.

    `files`: path in dom0 → content, brought along at boot.
    """

    def __init__(
        self,
        files: Mapping[str, Path | bytes] | None = None,
        options: MachineOptions | None = None,
        progress: Progress | None = None,
    ):
        self.progress = progress or Progress()
        self.options = options or MachineOptions()
        self._files = dict(files or {})
        usual = (_HVM_MEMORY_MIB, _HVM_DOM0_MIB) if self.options.hvm else (_MEMORY_MIB, _DOM0_MIB)
        self._memory_mib = self.options.memory_mib or usual
        self._keep = self.options.keep or self.options.folder is not None
        self.folder = self.options.folder or Path(tempfile.mkdtemp(prefix="tinyvmi-lab."))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._folder_named = False
        self.timings: dict[str, float] = {}  # seconds since QEMU's start
        self._started = 0.0
        self._qemu: Qemu | None = None
        self._agent: Client | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException as error:
            self.stop(keep=isinstance(error, Exception))
            raise
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        self.stop(keep=isinstance(value, Exception))

    # Its life

    def start(self) -> None:
        """Boot until dom0 takes commands; MissingEnvironmentError with the log's tail if it does not."""
        qemu = self._prepare()
        with self.progress.step("boot QEMU → Xen → dom0"):
            self._started = time.monotonic()
            qemu.start()
            self._agent = Client(self.folder / "agent.sock")
            self._wait_for("Xen", 30, lambda: "Xen version" in self.console_log)
            self._wait_for("dom0 kernel", 120, lambda: "TINYVMI-DOM0 kernel" in self.console_log)
            self._wait_for("toolstack", 60, lambda: "TINYVMI-DOM0 toolstack" in self.console_log)
            self._wait_for("agent", 60, self._agent.ready.is_set)
            if "TINYVMI-DOM0 failed" in self.console_log:
                raise MissingEnvironmentError(f"dom0 came up incomplete\n{self._tail()}")

    def stop(self, keep: bool = False) -> None:
        """End QEMU; its folder is deleted unless it was the caller's, or is kept by the options or `keep`."""
        if self._agent is not None:
            self._agent.close()
        if self._qemu is not None:
            self._qemu.stop()
        if not keep and not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif self.folder.exists() and not self._folder_named:
            self._folder_named = True
            tell = self.progress.warn if keep else self.progress.note
            tell(f"the lab's logs and its initramfs are in {self.folder}")

    def revive(self) -> str:
        """Boot anew if dom0 has died or does not answer; what was wrong, "" if nothing was.

        No guest lives on.  The log of the machine that died stays beside that of the new one.
        """
        assert self._qemu is not None
        try:
            self._check_alive("between two commands")
            self.run(["true"], 30)
        except (MissingEnvironmentError, TimeoutError) as error:
            wrong = str(error) or "dom0 does not answer"
        else:
            return ""
        if self._agent is not None:
            self._agent.close()
        self._qemu.stop()
        died = next(n for n in itertools.count(1) if not (self.folder / f"console.{n}.log").exists())
        self._qemu.console.rename(self.folder / f"console.{died}.log")
        self.start()
        return wrong

    def _prepare(self) -> Qemu:
        suite = self.suite = self.options.suite or working_suite(self.progress)
        if self.options.hvm and suite != SUITE:
            raise UsageError(f"the lab's device model is {SUITE}'s, and goes with that Xen only")
        made = xen_hypervisor if self.options.policy is None else xsm_hypervisor
        xen = made(self.progress, suite)
        kernel = initramfs.dom0_kernel(self.progress, suite)
        base = initramfs.base(self.progress, suite)
        files: dict[str, Path | bytes] = {
            **self._target_files(self.options.target_kernel or fetch_kernel(progress=self.progress)),
            **self._files,
        }
        ramdisk = self.folder / "initramfs"
        with open(ramdisk, "wb") as out:
            with open(base, "rb") as part:
                shutil.copyfileobj(part, out)
            if self.options.hvm:
                out.write(device_model.archive(self.progress))
            out.write(initramfs.overlay(files, self.progress, suite))
        memory, dom0 = self._memory_mib
        boot = f"{kernel} console=hvc0 loglevel=4 panic=-1,{ramdisk}"
        options = (
            "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all bootscrub=0 "
            f"dom0_mem={dom0}M,max:{dom0}M"
        )
        if self.options.cpu == AVX2_CPU:
            options += _EAGER
        options += f" {self.options.xen_options}".rstrip()
        if self.options.policy is not None:
            policy = self.folder / "xenpolicy"
            policy.write_bytes(xsm_policy(self.options.policy, self.progress, suite))
            boot += f",{policy}"
            options += " flask=enforcing"
        self._qemu = Qemu(
            [
                *self._processor(),
                *("-m", str(memory)),
                *self._shared(),
                *("-chardev", f"socket,id=agent,path={self.folder}/agent.sock,server=on,wait=off"),
                *("-serial", "chardev:agent"),
                *("-kernel", str(xen), "-initrd", boot),
                *("-append", options),
            ],
            self.folder,
        )
        return self._qemu

    def _shared(self) -> list[str]:
        if self.options.share is None:
            return []
        return [
            "-virtfs",
            f"local,path={self.options.share},mount_tag={SHARE},security_model=none,readonly=on",
        ]

    def _processor(self) -> list[str]:
        if self.options.icount:
            counting = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
            return [*counting, "-cpu", self.options.cpu, "-smp", "1"]
        if self.options.kvm:
            return ["-accel", "kvm", "-cpu", "host", "-smp", "2"]
        return ["-accel", "tcg,thread=multi", "-cpu", self.options.cpu, "-smp", "2"]

    def _target_files(self, kernel: Path) -> dict[str, Path | bytes]:
        """The target's kernel and initramfs: of a package with its modules, of a bare vmlinuz without."""
        packed = kernel.suffix == ".deb"
        folder = unpacked_kernel(kernel) if packed else None
        loaded = in_order(folder, target.MODULES) if folder else {}
        files: dict[str, Path | bytes] = dict(self.options.target_files)
        later = in_order(folder, (*target.LATER, *self.options.more_modules)) if folder else {}
        for number, (name, data) in enumerate(later.items()):
            # Those that need each other are numbered, in the order in which they can be loaded.
            prefix = "" if name in target.LATER else f"{number:03d}-"
            files[f"{target.LATER_FOLDER}/{prefix}{name}.ko"] = data
        vmlinuz = vmlinuz_of(folder) if folder else kernel
        ramdisk = guest.initramfs(self.progress, loaded, files=files)
        found: dict[str, Path | bytes] = {
            f"{target.FILES}/vmlinuz": vmlinuz,
            f"{target.FILES}/initramfs": ramdisk,
        }
        if self.options.grub:
            image = grub.image(vmlinuz.read_bytes(), ramdisk, target.OPTIONS, self.progress)
            found[f"{target.FILES}/grub.elf"] = image
        if self.options.hvm:
            found[f"{target.FILES}/disk"] = grub.disk(
                vmlinuz.read_bytes(), ramdisk, target.OPTIONS, self.progress
            )
        return found

    def _wait_for(self, name: str, seconds: float, reached: Callable[[], bool]) -> None:
        assert self._qemu is not None
        deadline = time.monotonic() + timeout(seconds)
        while not reached():
            self._check_alive(name)
            if time.monotonic() > deadline:
                raise MissingEnvironmentError(
                    f"the lab did not come up: no {name} after {timeout(seconds):g} s\n{self._tail()}",
                    hint="on a slow machine set TINYVMI_TIMEOUT_FACTOR, e.g. to 10",
                )
            time.sleep(0.05)
        self.timings[name] = round(time.monotonic() - self._started, 1)
        self.progress.note(f"{name} up after {self.timings[name]:.1f} s")

    def _check_alive(self, doing: str) -> None:
        assert self._qemu is not None
        alive = self._qemu.alive
        log = self.console_log
        deadly = next((text for text in _DEADLY if text in log), None)
        if deadly or not alive:
            what = f"'{deadly}' on the console" if deadly else "QEMU ended"
            raise MissingEnvironmentError(f"the lab died ({doing}): {what}\n{self._tail()}")

    def _tail(self) -> str:
        assert self._qemu is not None
        lines = [self._qemu.trouble(), *self.console_log.splitlines()[-20:]]
        return "\n".join(filter(None, lines)) + f"\nall of it: {self._qemu.console}"

    # What is asked of it

    @property
    def agent(self) -> Client:
        if self._agent is None:
            raise MissingEnvironmentError("the lab is not started")
        return self._agent

    @property
    def console_log(self) -> str:
        """Xen's and dom0's console so far."""
        return self._qemu.console_text() if self._qemu else ""

    def guest_console(self, name: str) -> str:
        """The console of domain `name` so far, as xenconsoled wrote it down."""
        try:
            data = self.agent.get(f"/var/log/xen/console/guest-{name}.log")
            return data.decode(errors="replace").replace("\r", "")
        except MissingEnvironmentError:
            return ""

    def run(self, argv: Sequence[str], seconds: float = 60) -> Result:
        """Run a command in dom0 to its end; TimeoutError after `seconds` (and it is killed)."""
        remote = self.spawn(argv)
        try:
            return remote.wait(seconds)
        except TimeoutError:
            remote.kill()
            self._check_alive(argv[0])
            raise

    def spawn(self, argv: Sequence[str], cwd: str | None = None) -> Remote:
        """Start a command in dom0."""
        return self.agent.spawn(argv, cwd)

    def create_target(self, name: str = "target", options: TargetOptions | None = None) -> target.Target:
        """Start a Linux guest and wait until it is up."""
        return target.create(self, name, options or TargetOptions())
