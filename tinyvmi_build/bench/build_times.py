"""How long a build takes, as the commands that a user types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tinyvmi_build.config.load import Loaded
from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.progress import Progress


def build_times(loaded: Loaded, progress: Progress) -> dict[str, float]:
    """Step → s of wall-clock time, the start of Python included.  Nothing is known at the beginning."""
    packages = [str(path) for path in loaded.config.kernel.packages]
    if not packages:  # a profile is given: there is nothing to make it from
        return {}
    with (
        progress.step("time builds"),
        tempfile.TemporaryDirectory(prefix="tinyvmi-builds.") as name,
    ):
        folder = Path(name)
        env = {**os.environ, "TINYVMI_CACHE": str(folder / "cache")}
        first, second = (_project(folder / project, packages) for project in ("one", "two"))
        profile = ["profile", "build", *packages, "-o", str(folder / "kernel.profile")]
        changed = ["build", "-c", first, "-s", "monitor.period=7s"]
        return {
            "profile of the kernel and its modules": _timed(profile, env),
            "render, with that known": _timed(["render", "-c", first], env),
            "build": _timed(["build", "-c", first], env),
            "build again, nothing changed": _timed(["build", "-c", first], env),
            "build after a change of the configuration": _timed(changed, env),
            "build of another monitor for that kernel": _timed(["build", "-c", second], env),
        }


def _project(folder: Path, packages: list[str]) -> str:
    folder.mkdir()
    lines = ["[monitor]", f'name = "{folder.name}"', "[kernel]", f"packages = {json.dumps(packages)}"]
    (folder / "tinyvmi.toml").write_text("\n".join(lines) + "\n")
    return str(folder)


def _timed(words: list[str], env: dict[str, str]) -> float:
    start = time.monotonic()
    argv = [sys.executable, "-m", "tinyvmi_build", "-q", *words]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingEnvironmentError(f"`tinyvmi-build {words[0]}` failed: {done.stderr.strip()[-500:]}")
    return round(time.monotonic() - start, 2)
