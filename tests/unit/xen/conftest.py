"""A guest's console, on a pty as xenconsoled makes one."""

from __future__ import annotations

import contextlib
import os
import tty
from collections.abc import Iterator

import pytest

from tinyvmi_build.xen import console


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """xenconsoled's side of the pty whose path is in xenstore."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)
    monkeypatch.setattr(console.store, "wait", lambda key, seconds: path)
    yield master
    with contextlib.suppress(OSError):  # a test may have closed it
        os.close(master)
