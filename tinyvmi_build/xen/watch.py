"""Notices that domains end (crashed, shut down, vanished) and begin."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time

from tinyvmi_build.xen.xl import find_domain, find_tool


class Hint:
    """One of xenstored's special watches: `@releaseDomain` and `@introduceDomain`: a domain ends, begins."""

    def __init__(self, path: str):
        self._process = subprocess.Popen(
            [find_tool("xenstore-watch"), path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C that ends launch must not end this first
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def fired(self, seconds: float = 0.0) -> bool:
        """Whether it has fired since it was last asked, or does within `seconds`."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], seconds)[0]:
            return False
        with contextlib.suppress(BlockingIOError):
            if os.read(descriptor, 4096):
                return True
            time.sleep(seconds)  # xenstore-watch has ended; who waits asks now and then anyway
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Watch:
    """Asks about domain `domid` when xenstored reports that some domain has ended, and now and then.

    Asking costs a run of xl, so it is not done for nothing.
    """

    def __init__(self, domid: int, interval: float = 10.0):
        self._domid = domid
        self._interval = interval
        self._asked = time.monotonic()
        self._hint = Hint("@releaseDomain")

    def ended(self) -> str | None:
        """Why the domain does not run any more ("it crashed"); None while it does."""
        if not self._hint.fired() and time.monotonic() < self._asked + self._interval:
            return None
        self._asked = time.monotonic()
        domain = find_domain(str(self._domid))
        if domain is None:
            return "its domain is gone"
        if domain.crashed:
            return "its domain crashed"
        return "its domain shut down" if domain.gone else None

    def close(self) -> None:
        self._hint.close()
