"""Notices that domains end (crashed, shut down, vanished) and begin."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time

from ..errors import TinyVMIError
from .xl import Domain, find_domain, find_tool


class Hint:
    """One of xenstored's special watches: `@releaseDomain` and `@introduceDomain`: a domain ends, begins."""

    def __init__(self, path: str):
        self._process = subprocess.Popen(
            [find_tool("xenstore-watch"), path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
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
            time.sleep(seconds)  # xenstore-watch has ended; whoever waits looks now and then anyway
        return False

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Watch:
    """Asks about domain `domid` when Xen says that some domain has ended, and now and then.

    Asking costs a run of xl, so it is not done for nothing; and not waited for: what a domain
    says last has to be read before xl destroys it, as its console loses it then.
    """

    def __init__(self, domid: int, interval: float = 10.0):
        self._domid = domid
        self._interval = interval
        self._asked = time.monotonic()
        self._question: _Question | None = None
        self._hint = Hint("@releaseDomain")

    def ended(self) -> str | None:
        """Why the domain does not run any more ("it crashed"); None while it does, or that is being asked."""
        if self._question is None:
            if not self._hint.fired() and time.monotonic() < self._asked + self._interval:
                return None
            self._asked = time.monotonic()
            self._question = _Question(self._domid)
        if self._question.is_alive():
            return None
        question, self._question = self._question, None
        if question.error is not None:
            raise question.error
        domain = question.answer
        if domain is None:
            return "its domain is gone"
        if domain.crashed:
            return "its domain crashed"
        return "its domain shut down" if domain.gone else None

    def close(self) -> None:
        self._hint.close()


class _Question(threading.Thread):
    """One run of xl: what it says of a domain."""

    def __init__(self, domid: int):
        super().__init__(daemon=True)
        self._domid = str(domid)
        self.answer: Domain | None = None
        self.error: TinyVMIError | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = find_domain(self._domid)
        except TinyVMIError as error:
            self.error = error
