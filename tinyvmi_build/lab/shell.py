"""Puts the user at dom0's console: the terminal raw, Ctrl-] to leave."""

from __future__ import annotations

import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError, UsageError

ESCAPE = b"\x1d"  # Ctrl-]


def attach(path: Path) -> None:
    """Connect this terminal with the console's Unix socket `path` until Ctrl-] or QEMU's end."""
    if not sys.stdin.isatty():
        raise UsageError("lab shell needs a terminal", hint="for scripts: tinyvmi-build lab run")
    terminal = sys.stdin.fileno()
    saved = termios.tcgetattr(terminal)
    with socket.socket(socket.AF_UNIX) as console:
        try:
            console.connect(str(path))
        except OSError as error:
            raise MissingEnvironmentError(f"dom0's console {path}: {error.strerror}") from None
        tty.setraw(terminal)
        try:
            console.sendall(b"\n")
            _copy(terminal, console)
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, saved)


def _copy(terminal: int, console: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([terminal, console.fileno()], [], [])
        if terminal in ready:
            typed = os.read(terminal, 1024)
            before, escape, _ = typed.partition(ESCAPE)
            console.sendall(before)
            if escape or not typed:
                return
        if console.fileno() in ready:
            shown = console.recv(65536)
            if not shown:
                return
            os.write(sys.stdout.fileno(), shown)
