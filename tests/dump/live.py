"""A guest that runs in QEMU on this machine, and the monitor's core watching its memory as it does."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine.packages import unpacked_kernel, vmlinuz_of
from tinyvmi_build.lab.machine.qemu import Qemu
from tinyvmi_build.records.collector import Collector
from tinyvmi_build.records.events import Received
from tinyvmi_build.timeouts import timeout

NONCE = "0123456789abcdef"
PCI_HOLE = 3 << 30  # QEMU's pc machine: RAM beyond it goes on at 4 GiB


def build_kexec(folder: Path) -> Path:
    """The program `kexec`, which starts another kernel in the guest that it runs in (kexec.c)."""
    program = folder / "kexec"
    source = Path(__file__).with_name("kexec.c")
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Werror", str(source), "-o", str(program)], check=True)
    return program


class Live:
    """A Linux guest without Xen; `memory` is a file that shows its RAM while it runs.  A context manager."""

    def __init__(
        self,
        kernel: Path,
        folder: Path,
        *,
        memory_mib: int = 512,
        extra: str = "",
        files: Mapping[str, bytes | Path] | None = None,
        cpu: str = "qemu64",
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.memory = folder / "memory"
        self._size = memory_mib << 20
        (folder / "initramfs").write_bytes(guest.initramfs(files=files))
        self._folder = folder
        ram = f"memory-backend-file,id=ram,size={memory_mib}M,mem-path={self.memory},share=on"
        self._qemu = Qemu(
            [
                *("-accel", "tcg", "-cpu", cpu, "-m", str(memory_mib)),
                *("-object", ram, "-machine", "pc,memory-backend=ram"),
                *("-action", "reboot=reset"),  # overrides -no-reboot: RAM keeps what it holds
                *("-kernel", str(vmlinuz_of(unpacked_kernel(kernel)))),
                *("-initrd", str(folder / "initramfs")),
                *("-append", f"console=ttyS0 panic=-1 {extra}".strip()),
            ],
            folder,
        )
        self._socket: socket.socket | None = None
        self._commands = 0

    def __enter__(self) -> Live:
        self._qemu.start()
        self.wait_boot(1)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(self._folder / "console.sock"))
        # What nobody reads would stop the guest's serial port.
        threading.Thread(target=self._drain, args=(self._socket,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        self._qemu.stop()
        self.memory.unlink(missing_ok=True)

    @staticmethod
    def _drain(console: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while console.recv(65536):
                pass

    @property
    def console(self) -> str:
        return self._qemu.console_text()

    def wait_boot(self, number: int, seconds: float = 120) -> str:
        """Wait until init is up for the `number`th time; the release of that kernel."""
        self._wait(lambda: len(guest.READY.findall(self.console)) >= number, seconds)
        return str(guest.READY.findall(self.console)[number - 1])

    def type(self, command: str) -> int:
        """Have a shell command run in the guest; its number."""
        assert self._socket is not None
        self._commands += 1
        self._socket.sendall(f"run {self._commands} {command}\n".encode())
        return self._commands

    def run(self, command: str, seconds: float = 60) -> None:
        """Run a shell command in the guest to its end; it must succeed."""
        number = str(self.type(command))
        self._wait(lambda: any(n == number for n, _ in guest.DONE.findall(self.console)), seconds)
        status = next(s for n, s in guest.DONE.findall(self.console) if n == number)
        assert status == "0", self.console[-2000:]

    def reset(self) -> None:
        """Press the reset button."""
        self._qemu.qmp("system_reset")

    def stop(self) -> None:
        """Stop its processors for good."""
        self._qemu.qmp("stop")

    def map(self) -> str:
        """Which frames lie where in `memory` (--map)."""
        if self._size <= PCI_HOLE:
            return f"0 {self._size >> 12} 0\n"
        high = (self._size - PCI_HOLE) >> 12
        return f"0 {PCI_HOLE >> 12} 0\n{(4 << 30) >> 12} {high} {PCI_HOLE}\n"

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + timeout(seconds)
        while not condition():
            assert self._qemu.alive, f"QEMU ended: {self._qemu.trouble()}\n{self.console[-2000:]}"
            assert time.monotonic() < deadline, self.console[-2000:]
            time.sleep(0.1)


class Watcher:
    """The checker over memory that changes: what it has said so far.  A context manager.

    The memory is a live guest's, or a file that only the test writes to.
    """

    def __init__(
        self, checker: Path, memory: Live | Path, *, period_ms: int = 100, address_space: int | None = None
    ):
        """`address_space`: bytes of it that the checker may use at most."""
        image = [str(memory)] if isinstance(memory, Path) else ["--live", str(memory.memory)]
        argv = [str(checker), *image, NONCE, "0", str(period_ms)]
        if address_space is not None:
            argv = ["prlimit", f"--as={address_space}", *argv]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.collector = Collector(NONCE)
        self.records: list[dict[str, Any]] = []
        self._partial = b""

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()

    def until(self, condition: Callable[[], Any], seconds: float = 60) -> None:
        """Listen until `condition` holds."""
        deadline = time.monotonic() + timeout(seconds)
        while not condition():
            assert time.monotonic() < deadline, self.records[-10:]
            self._listen(0.1)
            assert self.collector.lost_reason is None, self.collector.lost_reason

    def scans(self, more: int) -> None:
        """Listen for `more` scans."""
        target = self.collector.scans + more
        self.until(lambda: self.collector.scans >= target)

    def listen(self, seconds: float) -> None:
        """Listen for that long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._listen(0.1)

    @property
    def address_space(self) -> int:
        """Bytes of it that the checker has used at most."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmPeak:"))
        return int(peak.split()[1]) << 10

    @property
    def kernels(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["type"] == "kernel"]

    @property
    def reasons(self) -> list[str]:
        return [record["reason"] for record in self.records if record["type"] == "waiting"]

    @property
    def verdicts(self) -> set[str]:
        """Of all checks so far."""
        return {record["verdict"] for record in self.records if record["type"] == "check"}

    def _listen(self, seconds: float) -> None:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return
        chunk = os.read(self._process.stdout.fileno(), 65536)
        assert chunk, f"the checker ended with {self._process.wait()}: {self.records[-5:]}"
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            for event in self.collector.feed(line):
                if isinstance(event, Received):
                    self.records.append(event.record.body)
