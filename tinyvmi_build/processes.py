"""Child processes of our own: Ctrl-C ends them through their parent, and they leave no file behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from types import FrameType

from tinyvmi_build.files import remove_partial_files

_GRACE_S = 5  # for a child that removes its files; it takes milliseconds


def begin_child() -> None:
    """To be called first in a child: Ctrl-C is left to the parent, and SIGTERM ends the child at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def end_children() -> None:
    """End every child that `multiprocessing` has started, by force where SIGTERM does not do it."""
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    until = time.monotonic() + _GRACE_S
    for child in children:
        child.join(max(0, until - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()


def _leave(number: int, frame: FrameType | None) -> None:
    """End this process without unwinding it.

    An exception would not end it: the worker of a pool sends what its task raises to the parent as
    the task's result, SystemExit included, and waits for the next task.
    """
    remove_partial_files()
    os._exit(128 + number)
