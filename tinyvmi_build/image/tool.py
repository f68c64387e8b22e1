"""Run a program of the toolchain; when it fails, the error shows what it printed and how it was called."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence

from tinyvmi_build.errors import MissingEnvironmentError

_LINES_MAX = 60  # of the output of a failed program
# Variables that change what a compiler, a linker or make does: a build does not take up the user's.
_UNWANTED = frozenset(
    (
        *("CC", "CPPFLAGS", "CFLAGS", "LDFLAGS", "LD", "AR", "STRIP", "OBJCOPY", "MAKEFLAGS", "DESTDIR"),
        *("CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"),
    )
)


def build_environment() -> dict[str, str]:
    """This process' variables without those that change a build."""
    return {name: value for name, value in os.environ.items() if name not in _UNWANTED} | {"LC_ALL": "C"}


def run_tool(
    command: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    hint: str = "tinyvmi-build doctor checks the toolchain",
) -> str:
    """What `command` prints; MissingEnvironmentError, which begins with `what`, if it fails."""
    try:
        done = subprocess.run(
            command,
            env=build_environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise MissingEnvironmentError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        cut = ["…"] if len(lines) > _LINES_MAX else []
        shown = [f"{what}:", *cut, *lines[-_LINES_MAX:], f"(command: {shlex.join(command)})"]
        raise MissingEnvironmentError("\n".join(shown), hint=hint)
    return done.stdout
