"""Build the base kernel's test image and let Xen boot it in the place of dom0."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import sysconfig
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tinyvmi_build.lab.machine.packages import xen_hypervisor
from tinyvmi_build.lab.machine.qemu import find_qemu
from tinyvmi_build.paths import data_dir
from tinyvmi_build.timeouts import timeout

PLAIN_CPU = "qemu64,+svm,+npt"
AVX2_CPU = "max,-smap,-rdtscp"  # with SMAP a PV domain in place of dom0 does not start (docs/guide/lab.md)

# Xen's verdict about the hardware domain (xen/common/shutdown.c): how a boot ends.
_END = re.compile(r"\(XEN\) Hardware Dom0 (?P<how>shutdown|crashed|halted)")
_BOOT_SECONDS = 60


@dataclass
class Boot:
    """One boot.  `ended`: Xen's word (`shutdown`, `crashed`), or `timeout`, or `gone` if QEMU went away."""

    ended: str
    lines: list[str] = field(default_factory=list)  # the domain's own, without Xen's
    console: str = ""  # everything, for a failure's message

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def build_smoke_image(folder: Path, cross_file: str) -> Path:
    """Compile the test image with one of the toolchain's cross files."""
    scripts = sysconfig.get_path("scripts")  # ninja lies beside this Python
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    cross = data_dir("toolchain") / cross_file
    setup = ["setup", str(folder), str(data_dir("minios_app")), "--cross-file", str(cross), "-Dsmoke=true"]
    for command in (
        [sys.executable, "-m", "mesonbuild.mesonmain", *setup],
        ["ninja", "-C", str(folder), "kernel/smoke.elf"],
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "kernel" / "smoke.elf"


def boot(
    image: Path,
    command_line: str = "",
    memory: str = "32M",
    seconds: float = _BOOT_SECONDS,
    cpu: str = PLAIN_CPU,
) -> Boot:
    """Boot `image` as dom0 until Xen says that it has ended."""
    xen_line = f"console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=all dom0_mem={memory},max:{memory}"
    command = [
        find_qemu(),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-accel", "tcg", "-cpu", cpu, "-smp", "1", "-m", "256"),
        *("-kernel", str(xen_hypervisor()), "-initrd", f"{image} {command_line}", "-append", xen_line),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        return _listen(lines, time.monotonic() + timeout(seconds))
    finally:
        process.kill()
        process.wait()
        reader.join()


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        lines.put(raw.decode("ascii", "backslashreplace").rstrip("\r\n"))
    lines.put(None)


def _listen(lines: queue.Queue[str | None], deadline: float) -> Boot:
    result = Boot(ended="timeout")
    console = []
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if line is None:
            result.ended = "gone"
            break
        console.append(line)
        end = _END.search(line)
        if end:
            result.ended = end["how"]
            break
        if not line.startswith("(XEN)"):
            result.lines.append(line)
    result.console = "\n".join(console)
    return result
