"""Notices the end of a domain: crashed, shut down, vanished."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time

from .xl import find_domain, find_tool


class Watch:
    """Asks about domain `domid` when Xen says that some domain has ended, and now and then.

    xenstored fires its special watch `@releaseDomain` when any domain shuts
    down, crashes or dies; asking costs a run of xl, so it is not done for nothing.
    """

    def __init__(self, domid: int, interval: float = 10.0):
        self._domid = domid
        self._interval = interval
        self._asked = time.monotonic()
        self._hint = subprocess.Popen(
            [find_tool("xenstore-watch"), "@releaseDomain"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._hint.stdout is not None
        os.set_blocking(self._hint.stdout.fileno(), False)

    def ended(self) -> str | None:
        """Why the domain does not run any more ("it crashed"); None while it does."""
        if not self._hinted() and time.monotonic() < self._asked + self._interval:
            return None
        self._asked = time.monotonic()
        domain = find_domain(str(self._domid))
        if domain is None:
            return "its domain is gone"
        if domain.crashed:
            return "its domain crashed"
        return "its domain shut down" if domain.gone else None

    def close(self) -> None:
        self._hint.kill()
        self._hint.wait()
        assert self._hint.stdout is not None
        self._hint.stdout.close()

    def _hinted(self) -> bool:
        assert self._hint.stdout is not None
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._hint.stdout.fileno(), 4096))
        return False
