"""Runs commands in dom0 for the host, over a serial port: one JSON object a line, both ways.

Host to agent (`id` is chosen by the host):
    {"id", "op": "run", "argv": [...], "cwd"?}   {"id", "op": "kill", "signal"}
    {"id", "op": "put", "path", "data", "append"}   {"id", "op": "get", "path"}
    {"id", "op": "peek", "domid", "address", "length"}   {"id", "op": "poke", "domid", "address", "data"}
Agent to host:
    {"id", "out": line} and {"id", "err": line} while it runs, then {"id", "exit": status} (negative: signal);
    {"id", "data": base64} in pieces for get, peek and poke (what was there), then {"id", "exit": 0};
    {"id", "error": text} if it cannot.
Lines are split at any of \\r, \\n, so that what a serial console doubles does no harm.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import termios
import threading
import tty
from dataclasses import dataclass
from typing import IO, Any

from tinyvmi_build.lab.memory import GuestMemory

_PIECE = 1536  # bytes of a file in one message
_LINE = 8192  # longer lines of output are sent in pieces


@dataclass(frozen=True)
class Request:
    """A message from the host; which fields it has depends on `op`."""

    id: int
    op: str
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    signal: int = signal.SIGKILL
    path: str = ""
    data: str = ""  # base64
    append: bool = False
    domid: int = -1
    address: int = 0
    length: int = 0


class Agent:
    """Answers the host's messages; what they start runs beside it."""

    def __init__(self, fd: int):
        self._fd = fd
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def serve(self) -> None:
        """Answer messages without end."""
        self._send(hello=os.getpid())
        pending = b""
        while True:
            chunk = os.read(self._fd, 4096)
            if not chunk:
                return
            *lines, pending = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
            for line in filter(None, lines):
                self._handle(line)

    def _handle(self, line: bytes) -> None:
        try:
            request = Request(**json.loads(line))
        except (ValueError, TypeError) as error:
            self._send(error=f"not a message: {error}: {line[:100]!r}")
            return
        try:
            getattr(self, f"_do_{request.op}")(request)
        except Exception as error:
            # Whatever went wrong is the answer; the agent itself has to stay.
            self._send(id=request.id, error=f"{type(error).__name__}: {error}")

    def _do_run(self, request: Request) -> None:
        process = subprocess.Popen(
            request.argv,
            cwd=request.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._running[request.id] = process
        threading.Thread(target=self._follow, args=(request.id, process), daemon=True).start()

    def _do_kill(self, request: Request) -> None:
        process = self._running.get(request.id)
        if process is not None:
            os.killpg(process.pid, request.signal)

    def _do_put(self, request: Request) -> None:
        data = base64.b64decode(request.data)
        os.makedirs(os.path.dirname(request.path) or ".", exist_ok=True)
        with open(request.path, "ab" if request.append else "wb") as file:
            file.write(data)
        self._send(id=request.id, exit=0)

    def _do_get(self, request: Request) -> None:
        with open(request.path, "rb") as file:
            self._send_data(request.id, file.read())

    def _do_peek(self, request: Request) -> None:
        with GuestMemory(request.domid) as memory:
            self._send_data(request.id, memory.read(request.address, request.length))

    def _do_poke(self, request: Request) -> None:
        with GuestMemory(request.domid) as memory:
            before = memory.write(request.address, base64.b64decode(request.data))
        self._send_data(request.id, before)

    def _send_data(self, number: int, data: bytes) -> None:
        for at in range(0, len(data), _PIECE):
            self._send(id=number, data=base64.b64encode(data[at : at + _PIECE]).decode())
        self._send(id=number, exit=0)

    def _follow(self, number: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None and process.stderr is not None
        errors = threading.Thread(target=self._pump, args=(number, "err", process.stderr), daemon=True)
        errors.start()
        self._pump(number, "out", process.stdout)
        errors.join()
        status = process.wait()
        del self._running[number]
        self._send(id=number, exit=status)

    def _pump(self, number: int, key: str, stream: IO[bytes]) -> None:
        while line := stream.readline(_LINE):
            self._send(id=number, **{key: line.decode("utf-8", "replace").rstrip("\r\n")})

    def _send(self, **message: Any) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]


def main() -> None:
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(fd, termios.TCSANOW)
    # A shell's background jobs ignore SIGINT, and so would what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Agent(fd).serve()


if __name__ == "__main__":
    main()
