"""Child processes of our own: Ctrl-C ends them through their parent, and they leave no file behind."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def begin_child() -> None:
    """To be called first in a child: a signal to the whole group is left to the parent.

    The parent ends its children by SIGTERM, which lets them remove what they have half written.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
