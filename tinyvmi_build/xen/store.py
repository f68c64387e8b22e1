"""xenstore, through its own command-line tools."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.xen.xl import find_tool


def write(values: Mapping[str, str]) -> None:
    """Write all of path → value."""
    argv = [find_tool("xenstore-write")]
    for path, value in values.items():
        argv += [path, value]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise MissingEnvironmentError(f"xenstore refuses {', '.join(values)}: {result.stderr.strip()}")


def read(path: str) -> str | None:
    """The value at `path`, None if there is none."""
    argv = [find_tool("xenstore-read"), path]
    result = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    return result.stdout.rstrip("\n") if result.returncode == 0 else None


def wait(path: str, seconds: float) -> str:
    """The value at `path` once there is one; MissingEnvironmentError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = read(path)
        if value:
            return value
        if time.monotonic() > deadline:
            raise MissingEnvironmentError(
                f"nothing appeared in xenstore at {path} within {seconds:g} s", hint="does xenconsoled run?"
            )
        time.sleep(0.1)
