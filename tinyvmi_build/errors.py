"""Exit codes and the one exception that carries them to the command line.

The codes are a contract with scripts (docs/reference/exit-status.md).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence


class Exit(enum.IntEnum):
    """What the process exit status of `tinyvmi-build` means."""

    INTACT = 0  # or: the verb did what it was asked
    INTERNAL = 1  # a fault of tinyvmi-build, never of its input or the machine
    USAGE = 2  # a wrong option, file or configuration
    UNVERIFIABLE = 3  # unverifiable, or nothing was checked; with --strict: a check that cannot be made
    ENVIRONMENT = 4  # no Xen, no QEMU, no toolchain, the lab did not boot
    TAMPERED = 5
    MONITOR_LOST = 6  # crash, silence, timeout, broken record stream
    INTERRUPTED = 130  # by Ctrl-C before there was a verdict


class TinyVMIError(Exception):
    """An error to show as one line: what, where, and what to do about it.

    `hint` is the action that mends it; `exit` is the documented status.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit: Exit = Exit.USAGE):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit = exit

    def __reduce__(self) -> tuple[object, ...]:
        """Made again from what it says: errors come from worker processes, too."""
        return _again, (type(self), self.__dict__)

    @property
    def all(self) -> tuple[TinyVMIError, ...]:
        """This error, or each of several that are reported together."""
        return (self,)


def _again(kind: type[TinyVMIError], fields: dict[str, object]) -> TinyVMIError:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["message"])
    error.__dict__.update(fields)
    return error


class UsageError(TinyVMIError):
    """Bad input from the user: a file, a key, a flag (exit 2)."""


class UsageErrors(UsageError):
    """Several mistakes in one input (exit 2), reported together so that one run shows all of them."""

    def __init__(self, errors: Sequence[UsageError]):
        super().__init__("; ".join(error.message for error in errors), hint=errors[0].hint)
        self._errors = tuple(errors)

    @property
    def all(self) -> tuple[TinyVMIError, ...]:
        return self._errors


class MissingEnvironmentError(TinyVMIError):
    """Something outside is missing or did not work (exit 4)."""

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint, exit=Exit.ENVIRONMENT)


class MonitorLostError(TinyVMIError):
    """The monitor crashed, fell silent or broke its record stream (exit 6)."""

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message, hint=hint, exit=Exit.MONITOR_LOST)
