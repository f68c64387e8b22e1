"""A guest's console, read straight from the pty that xenconsoled offers for it.

`xl console` would need a terminal and starts late; the pty's path is in
xenstore, and what is opened before the guest is unpaused misses nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import tty

from ..errors import MissingEnvironment
from . import store
from .patience import timeout

_PTY_S = 10.0  # xenconsoled opens the pty when it notices the domain


class Console:
    """The console of domain `domid`, raw, both ways.  A context manager."""

    def __init__(self, domid: int):
        path = store.wait(f"/local/domain/{domid}/console/tty", timeout(_PTY_S))
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self._fd)
        except OSError as error:
            raise MissingEnvironment(f"the console {path} of domain {domid}: {error.strerror}") from None

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._fd

    def read(self, seconds: float) -> bytes | None:
        """What came: b"" if nothing within `seconds`, None if the console is closed for good."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        if not ready:
            return b""
        try:
            return os.read(self._fd, 65536) or None
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # xenconsoled closed its side: the domain is gone
                return None
            raise

    def write(self, data: bytes) -> None:
        """Type `data` into the guest's console."""
        while data:
            _, ready, _ = select.select([], [self._fd], [], 10.0)
            if not ready:
                raise MissingEnvironment("the guest does not read its console")
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._fd)
