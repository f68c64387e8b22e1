"""One QEMU process, which never outlives its starter; its command and its console are files."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.sockets import connected

BINARY = "qemu-system-x86_64"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def find_qemu() -> str:
    """Path of QEMU, or MissingEnvironmentError."""
    path = shutil.which(BINARY)
    if path is None:
        raise MissingEnvironmentError(f"{BINARY} is missing", hint="apt-get install qemu-system-x86")
    return path


def qemu_version() -> str:
    """What QEMU says of itself in its first line."""
    asked = [find_qemu(), "--version"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.partition("\n")[0]


class Qemu:
    """Runs `arguments` with everything it leaves behind in `folder`: command, console.log, qemu.log.

    The first serial port is logged to console.log and open as console.sock.
    """

    def __init__(self, arguments: Sequence[str], folder: Path):
        self.folder = folder
        self.console = folder / "console.log"
        self._qmp_path = folder / "qmp.sock"
        self.arguments = [
            find_qemu(),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-chardev",
            f"socket,id=console,path={folder}/console.sock,server=on,wait=off,logfile={self.console}",
            "-serial",
            "chardev:console",
            "-qmp",
            f"unix:{self._qmp_path},server=on,wait=off",
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None

    def start(self) -> None:
        """Start the process.  It dies with the thread that calls this, however that ends."""
        self.console.touch()
        (self.folder / "command").write_text(f"# {qemu_version()}\n{shlex.join(self.arguments)}\n")
        parent = os.getpid()
        libc = ctypes.CDLL(None)

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it went before the call
                os.kill(os.getpid(), signal.SIGKILL)

        with open(self.folder / "qemu.log", "wb") as log:
            self._process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, not for QEMU
                preexec_fn=die_with_parent,
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def qmp(self, command: str, **arguments: Any) -> Any:
        """One QMP command → its `return` value."""
        if self._qmp is None:
            self._qmp = Qmp(self._qmp_path)
        return self._qmp.execute(command, **arguments)

    def stop(self) -> None:
        """Kill the process, if it runs, and wait for its end."""
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def trouble(self) -> str:
        """What QEMU itself said (its own errors; not the console)."""
        with contextlib.suppress(OSError):
            return (self.folder / "qemu.log").read_text(errors="replace").strip()
        return ""

    def console_text(self) -> str:
        """The console so far; each line ends in `\\n` alone (serial lines end in `\\r\\r\\n`)."""
        return self.console.read_text(errors="replace").replace("\r", "")


class Qmp:
    """QEMU's machine protocol over a Unix socket (docs/interop/qmp-spec.txt in QEMU)."""

    def __init__(self, path: Path, wait: float = 10.0):
        self._socket = connected(path, "QEMU's monitor", wait)
        self._file = self._socket.makefile("rwb")
        self._file.readline()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            if not line:
                raise MissingEnvironmentError(f"QEMU ended during its command {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise MissingEnvironmentError(f"QEMU refuses {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        self._file.close()
        self._socket.close()
