"""Signals that ask a run to end.

The first one ends the run cleanly: its summary is printed, its exit status is its verdict, the monitor's
domain is destroyed.  A second one raises KeyboardInterrupt, which cuts all but the last of that short.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether somebody has asked the run to end, and how (`reason`)."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._shielded = False

    @property
    def requested(self) -> bool:
        """Somebody has."""
        return self.reason is not None

    @contextlib.contextmanager
    def installed(self) -> Iterator[Stop]:
        """Handle the signals within the body."""
        old = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """No signal interrupts the body: a domain must not be left behind."""
        old, self._shielded = self._shielded, True
        try:
            yield
        finally:
            self._shielded = old

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.reason is None:
            self.reason = f"it was asked to by {signal.Signals(number).name}"
        elif not self._shielded:
            raise KeyboardInterrupt
