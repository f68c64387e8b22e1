"""A guest's console, read straight from the pty that xenconsoled offers for it.

`xl console` would need a terminal and starts late; the pty's path is in
xenstore, and what is opened before the guest is unpaused misses nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import store

_PTY_S = 10.0  # xenconsoled opens the pty when it notices the domain
HELD = 1 << 20  # bytes that are read ahead; a guest that floods its console has to wait then


class Console:
    """The console of domain `domid`, raw, both ways.  A context manager.

    It is read by a thread of its own: when a domain ends, xenconsoled closes the pty, and what
    nobody has taken out of it by then is lost, the monitor's last words above all.
    """

    def __init__(self, domid: int):
        path = store.wait(f"/local/domain/{domid}/console/tty", timeout(_PTY_S))
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd)
        except OSError as error:
            raise MissingEnvironmentError(f"the console {path} of domain {domid}: {error.strerror}") from None
        self._held = bytearray()
        self._closed = False  # by xenconsoled
        self._ending = False  # by close()
        self._change = threading.Condition()  # of these three
        self._woken, self._wake = os.pipe()
        self._reader = threading.Thread(target=self._read_ahead, daemon=True)
        self._reader.start()

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def read(self, seconds: float) -> bytes | None:
        """What came: b"" if nothing within `seconds`, None if the console is closed for good."""
        with self._change:
            self._change.wait_for(lambda: self._held or self._closed, max(0.0, seconds))
            found = bytes(self._held)
            self._held.clear()
            self._change.notify_all()
            return found or (None if self._closed else b"")

    def _read_ahead(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._woken], [], [])
            if self._woken in ready:
                return
            try:
                chunk = os.read(self._fd, 65536)
            except BlockingIOError:
                continue
            except OSError:  # EIO: xenconsoled closed its side, the domain is gone
                chunk = b""
            with self._change:
                self._held += chunk
                self._closed = not chunk
                self._change.notify_all()
                self._change.wait_for(lambda: len(self._held) < HELD or self._ending)
                if self._closed or self._ending:
                    return

    def write(self, data: bytes) -> None:
        """Type `data` into the guest's console."""
        while data:
            _, ready, _ = select.select([], [self._fd], [], 10.0)
            if not ready:
                raise MissingEnvironmentError("the guest does not read its console")
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        with self._change:
            if self._ending:
                return
            self._ending = True
            self._change.notify_all()
        os.write(self._wake, b"\0")
        self._reader.join()
        for descriptor in (self._fd, self._woken, self._wake):
            with contextlib.suppress(OSError):
                os.close(descriptor)
