"""Connect to the Unix sockets that QEMU makes when it starts."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.timeouts import timeout

_RETRY_S = 0.05


def connected(path: Path, what: str, seconds: float = 10.0) -> socket.socket:
    """A socket that is connected to `path`; MissingEnvironmentError if nothing answers there in time."""
    deadline = time.monotonic() + timeout(seconds)
    found = socket.socket(socket.AF_UNIX)
    while True:
        try:
            found.connect(str(path))
            return found
        except OSError as error:
            if time.monotonic() > deadline:
                found.close()
                raise MissingEnvironmentError(f"{what} {path} does not answer: {error}") from None
            time.sleep(_RETRY_S)
