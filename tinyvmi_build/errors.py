"""Exit codes and the one exception that carries them to the command line.

The codes are a contract with scripts (docs/design/architecture.md, "Exit codes").
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What the process exit status of `tinyvmi-build` means."""

    INTACT = 0  # or: the verb did what it was asked
    INTERNAL = 1
    USAGE = 2
    UNVERIFIABLE = 3  # unverifiable, or nothing was checked
    ENVIRONMENT = 4  # no Xen, no QEMU, no toolchain, the lab did not boot
    TAMPERED = 5
    MONITOR_LOST = 6  # crash, silence, timeout, broken record stream
    INTERRUPTED = 130


class TinyVMIError(Exception):
    """An error to show as one line: what, where, and what to do about it.

    `hint` is the action that mends it; `exit` is the documented status.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit: Exit = Exit.USAGE):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit = exit


class UsageError(TinyVMIError):
    """Bad input from the user: a file, a key, a flag (exit 2)."""


class MissingEnvironmentError(TinyVMIError):
    """Something outside is missing or did not work (exit 4)."""

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint, exit=Exit.ENVIRONMENT)


class MonitorLostError(TinyVMIError):
    """The monitor crashed, fell silent or broke its record stream (exit 6)."""

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint, exit=Exit.MONITOR_LOST)


# The names until every area uses those that end in Error.
MissingEnvironment = MissingEnvironmentError
MonitorLost = MonitorLostError
