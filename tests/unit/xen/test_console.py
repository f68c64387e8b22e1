"""A guest's console, on a pty as xenconsoled makes one."""

from __future__ import annotations

import os
import time

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen import console as module
from tinyvmi_build.xen.console import HELD, Console


def _all(console: Console) -> bytes:
    found = b""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        chunk = console.read(1)
        if chunk is None:
            return found
        found += chunk
    raise AssertionError("the console is not closed")


def test_what_was_said_last_is_not_lost(guest: int) -> None:
    """A domain that ends takes its pty away at once, however busy the reader is with what came before."""
    with Console(7) as console:
        os.write(guest, b"one\n")
        assert console.read(5) == b"one\n"
        for number in range(50):
            os.write(guest, b"%d\n" % number)
        time.sleep(0.5)  # the reader explains a finding
        os.close(guest)
        assert _all(console) == b"".join(b"%d\n" % number for number in range(50))
        assert console.read(0) is None  # and that it is closed is said again


def test_nothing_came(guest: int) -> None:
    with Console(7) as console:
        begun = time.monotonic()
        assert console.read(0) == b""
        assert console.read(0.2) == b""
        assert 0.2 <= time.monotonic() - begun < timeout(5)


def test_a_guest_that_floods_fills_no_memory(guest: int) -> None:
    os.set_blocking(guest, False)
    with Console(7) as console:
        written, deadline = 0, time.monotonic() + 20
        quiet = 0
        while quiet < 20 and time.monotonic() < deadline:
            try:
                written += os.write(guest, b"x" * 4096)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.02)
        assert HELD <= written < HELD + (1 << 20)
        os.set_blocking(guest, True)
        got = 0
        while got < written:
            got += len(console.read(5) or b"")
        assert got == written


def test_typing(guest: int) -> None:
    with Console(7) as console:
        console.write(b"run 1 true\n")
        assert os.read(guest, 100) == b"run 1 true\n"


def test_a_console_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.store, "wait", lambda key, seconds: "/dev/pts/does-not-exist")
    with pytest.raises(MissingEnvironmentError, match="does-not-exist of domain 7: No such file"):
        Console(7)
