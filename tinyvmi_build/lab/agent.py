"""The host's end of dom0's agent (dom0/agent.py): processes in dom0 as objects here."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import shlex
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.sockets import connected
from tinyvmi_build.timeouts import timeout

_PIECE = 1536  # bytes of a file in one message; the serial port of dom0 has a small buffer


@dataclass(frozen=True)
class Reply:
    """A message from the agent: one field beside `id`."""

    id: int = 0
    hello: int | None = None
    out: str | None = None
    err: str | None = None
    data: str = ""  # base64
    exit: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Result:
    """A command that has ended in dom0; a negative status is a signal's number."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str

    def check(self) -> Self:
        """Itself if the status is 0, else MissingEnvironmentError with what the command said."""
        if self.status:
            said = (self.err or self.out).strip()[-600:]
            raise MissingEnvironmentError(
                f"in dom0 `{shlex.join(self.argv)}` ended with {self.status}: {said}"
            )
        return self


class Remote:
    """A process running in dom0."""

    def __init__(self, agent: Client, number: int, argv: Sequence[str]):
        self._agent = agent
        self._number = number
        self.argv = tuple(argv)
        self.inbox: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self.status: int | None = None

    def messages(self, seconds: float | None = None) -> Iterator[tuple[str, str]]:
        """("out" or "err", line) as they come, until its end; TimeoutError after `seconds` in all."""
        deadline = None if seconds is None else time.monotonic() + timeout(seconds)
        while True:
            kind, text = self.next(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if kind == "exit":
                return
            yield kind, text

    def next(self, seconds: float | None) -> tuple[str, str]:
        """The next ("out" | "err" | "data", line), or ("exit", status); TimeoutError after `seconds`."""
        if self.status is not None:
            return "exit", str(self.status)
        try:
            message = self.inbox.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"`{shlex.join(self.argv)}` in dom0 takes too long") from None
        if message is None:
            raise MissingEnvironmentError(f"dom0 went away during `{shlex.join(self.argv)}`")
        if message.error is not None:
            raise MissingEnvironmentError(f"dom0 cannot run `{shlex.join(self.argv)}`: {message.error}")
        if message.exit is not None:
            self.status = message.exit
            return "exit", str(self.status)
        if message.out is not None:
            return "out", message.out
        return ("err", message.err) if message.err is not None else ("data", message.data)

    def lines(self, seconds: float | None = None) -> Iterator[str]:
        """Lines of standard output as they come."""
        for kind, line in self.messages(seconds):
            if kind == "out":
                yield line

    def wait(self, seconds: float) -> Result:
        """Wait for the end, gathering what is still unread; TimeoutError if it does not come."""
        gathered: dict[str, list[str]] = {"out": [], "err": [], "data": []}
        for kind, line in self.messages(seconds):
            gathered[kind].append(line + "\n")
        assert self.status is not None
        return Result(self.argv, self.status, "".join(gathered["out"]), "".join(gathered["err"]))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process and its children."""
        self._agent.send(id=self._number, op="kill", signal=int(number))


class Client:
    """Speaks with the agent over the Unix socket of dom0's second serial port."""

    def __init__(self, path: Path):
        self._socket = connected(path, "dom0's serial port")
        self.ready = threading.Event()
        self.trouble: list[str] = []  # what came that was no message
        self._lock = threading.Lock()
        self._next = 1
        self._open: dict[int, Remote] = {}
        threading.Thread(target=self._read, daemon=True, name="lab-agent").start()

    def spawn(self, argv: Sequence[str], cwd: str | None = None) -> Remote:
        """Start `argv` in dom0."""
        return self._begin(argv, op="run", argv=list(argv), **({"cwd": cwd} if cwd else {}))

    def put(self, path: str, data: bytes) -> None:
        """Write a small file in dom0."""
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)] or [b""]
        for number, piece in enumerate(pieces):
            text = base64.b64encode(piece).decode()
            remote = self._begin(["put", path], op="put", path=path, data=text, append=number > 0)
            remote.wait(30)

    def get(self, path: str) -> bytes:
        """Read a file in dom0."""
        return self._data(self._begin(["get", path], op="get", path=path))

    def peek(self, domid: int, address: int, length: int) -> bytes:
        """Bytes of a guest's physical memory."""
        what = ["peek", str(domid), hex(address)]
        return self._data(self._begin(what, op="peek", domid=domid, address=address, length=length))

    def poke(self, domid: int, address: int, data: bytes) -> bytes:
        """Write to a guest's physical memory; the bytes that were there."""
        what = ["poke", str(domid), hex(address)]
        text = base64.b64encode(data).decode()
        return self._data(self._begin(what, op="poke", domid=domid, address=address, data=text))

    def send(self, **message: Any) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                self._socket.sendall(data)
            except OSError as error:
                raise MissingEnvironmentError(f"dom0 went away: {error}") from None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @staticmethod
    def _data(remote: Remote) -> bytes:
        return b"".join(base64.b64decode(line) for kind, line in remote.messages(60) if kind == "data")

    def _begin(self, what: Sequence[str], **message: Any) -> Remote:
        with self._lock:
            number = self._next
            self._next += 1
            remote = self._open[number] = Remote(self, number, what)
        self.send(id=number, **message)
        return remote

    def _read(self) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while chunk := self._socket.recv(65536):
                *lines, pending = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
                for line in filter(None, lines):
                    self._take(line)
        for remote in list(self._open.values()):
            remote.inbox.put(None)

    def _take(self, line: bytes) -> None:
        try:
            message = Reply(**json.loads(line))
        except (ValueError, TypeError):
            self.trouble.append(repr(line[:200]))
            return
        remote = self._open.get(message.id)
        if message.hello is not None:
            self.ready.set()
        elif remote is None:
            self.trouble.append(repr(message))
        else:
            remote.inbox.put(message)
            if message.exit is not None or message.error is not None:
                del self._open[message.id]
