"""A Linux kernel booted by QEMU without Xen, and its physical memory as a file.

The bzImage's own decompressor runs, so KASLR is active.  This is real kernel
memory for tests that need no hypervisor.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab import guest
from tinyvmi_build.lab.guest import modules as guest_modules
from tinyvmi_build.lab.machine.packages import unpacked_kernel, vmlinuz_of
from tinyvmi_build.lab.machine.qemu import Qemu
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import timeout

_PANIC = "Kernel panic"


@dataclass(frozen=True)
class DumpOptions:
    """How a kernel is booted, and what it does before its memory is saved.  One boot is kept for each."""

    memory_mib: int = 256  # below the PCI hole (3 GiB)
    extra: str = ""  # of the kernel's command line
    cpu: str = "qemu64"
    smp: int = 1
    modules: Sequence[str] = ()  # to load, by name, with what they depend on
    script: str = ""  # of shell commands, run after that
    files: Mapping[str, bytes | Path] | None = None  # path → content, in the guest's file system
    qemu: Sequence[str] = ()  # further arguments of QEMU
    seconds: float = 120  # that all this may take
    serial: int = 0  # another one is another boot, with other KASLR offsets
    folder: Path | None = None  # where the dump is kept; None: in the cache


def raw_dump(kernel_deb: Path, options: DumpOptions | None = None, progress: Progress | None = None) -> Path:
    """Boot the kernel in `kernel_deb` and save its physical memory: byte n of the file is at address n.

    Beside the dump lies `.console`, the boot's console.  Raises MissingEnvironmentError if the guest
    does not come up, or fails in what it was given to do.
    """
    options = options or DumpOptions()
    if not 64 <= options.memory_mib <= 3072:
        raise ValueError(f"{options.memory_mib} MiB: between 64 and 3072 are possible")
    progress = progress or Progress()
    unpacked = unpacked_kernel(kernel_deb)
    ramdisk = guest.initramfs(
        progress,
        guest_modules.in_order(unpacked, options.modules) if options.modules else None,
        options.script,
        options.files,
    )
    machine_of = [options.memory_mib, options.extra, options.cpu, options.smp, options.serial]
    boot = [kernel_deb.name, *machine_of, hashlib.sha256(ramdisk).hexdigest()]
    key = json.dumps([*boot, *options.qemu])
    kernel = kernel_deb.name.partition("_")[0]
    stem = f"{kernel}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    result = (options.folder or cache_dir("dumps")) / f"{stem}.raw"
    if result.exists():
        return result
    with (
        progress.step(f"boot {kernel} ({options.cpu}, {options.memory_mib} MiB) and save its memory"),
        tempfile.TemporaryDirectory(prefix="tinyvmi-direct.") as name,
    ):
        scratch = Path(name)
        (scratch / "initramfs").write_bytes(ramdisk)
        partial = result.with_suffix(f".{os.getpid()}")
        machine = Qemu(
            [
                *("-accel", "tcg", "-machine", "pc", "-cpu", options.cpu),
                *("-smp", str(options.smp), "-m", str(options.memory_mib)),
                *("-kernel", str(vmlinuz_of(unpacked))),
                *("-initrd", str(scratch / "initramfs")),
                *("-append", f"console=ttyS0 panic=-1 {options.extra}".strip()),
                *options.qemu,
            ],
            scratch,
        )
        try:
            machine.start()
            _wait_ready(machine, timeout(options.seconds))
            machine.qmp("stop")
            machine.qmp("pmemsave", val=0, size=options.memory_mib << 20, filename=str(partial))
            result.with_suffix(".console").write_text(machine.console_text())
            partial.rename(result)
        finally:
            machine.stop()
            partial.unlink(missing_ok=True)
    return result


def _wait_ready(qemu: Qemu, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        alive = qemu.alive
        text = qemu.console_text()
        failed = guest.FAILED.search(text)
        if failed:
            tail = "\n".join(text.splitlines()[-15:])
            raise MissingEnvironmentError(f"the guest failed {failed[1].strip()}\n{tail}")
        if guest.READY.search(text):
            return
        if not alive or _PANIC in text or time.monotonic() > deadline:
            tail = "\n".join(text.splitlines()[-15:])
            what = "QEMU ended" if not alive else "it panicked" if _PANIC in text else "time is up"
            raise MissingEnvironmentError(
                f"the guest did not come up: {what}\n{qemu.trouble()}\n{tail}".rstrip()
            )
        time.sleep(0.1)
