"""Meson and ninja, driven so that a second build does nothing and a failing one shows what failed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingEnvironment
from ..paths import data_dir

CROSS_FILE = "x86_64-tinyvmi.cross"
_STAMP = "tinyvmi-setup.json"
_COMPILING = re.compile(r"^\[\d+/\d+\] Compiling ", re.MULTILINE)
# What a user's shell may carry and a reproducible build must not take up.
_UNWANTED = (
    "CC",
    "CPPFLAGS",
    "CFLAGS",
    "LDFLAGS",
    "LD",
    "AR",
    "STRIP",
    "MAKEFLAGS",
    "DESTDIR",
    "CPATH",
    "C_INCLUDE_PATH",
)
TAIL = 60  # lines of a failure that are shown


@dataclass(frozen=True)
class Compiled:
    """A finished compilation: the file and how many C files were compiled for it."""

    path: Path
    objects: int


def compile_target(
    target: str, *, folder: Path, generated: Path, cross: bool, tree: Path | None = None
) -> Compiled:
    """Build `target` of minios_app in `folder` with the C in `generated`: for Xen (`cross`) or for here.

    `tree`: the file of flags of a Mini-OS tree that the monitor is compiled for.
    """
    source = data_dir("minios_app")
    cross_file = data_dir("toolchain") / CROSS_FILE
    stamp = {
        "source": str(source),
        "generated": str(generated),
        "cross": cross_file.read_text() if cross else None,
        "tree": str(tree) if tree else None,
        "python": sys.executable,
        "sources": (generated / "sources.txt").read_text(),
    }
    old = _read_stamp(folder)
    if old != stamp:
        mode = []
        if old is not None and {**old, "sources": ""} == {**stamp, "sources": ""}:
            mode = ["--reconfigure"]
        else:
            shutil.rmtree(folder, ignore_errors=True)
        arguments = [*mode, str(folder), str(source), f"-Dgenerated={generated}"]
        if tree:
            arguments += [f"-Dtree={tree}"]
        if cross:
            arguments += ["--cross-file", str(cross_file)]
        _run(
            [sys.executable, "-m", "mesonbuild.mesonmain", "setup", *arguments],
            "meson cannot set the build up",
        )
        (folder / _STAMP).write_text(json.dumps(stamp))
    output = _run([_ninja(), "-C", str(folder), target], "the monitor does not compile")
    return Compiled(folder / target, len(_COMPILING.findall(output)))


def run_tool(command: list[str], what: str) -> None:
    """Run a tool of the toolchain; MissingEnvironment with its output if it fails."""
    _run(command, what)


def _read_stamp(folder: Path) -> dict[str, object] | None:
    if not (folder / "build.ninja").is_file():
        return None
    try:
        return json.loads((folder / _STAMP).read_text())
    except (OSError, ValueError):
        return None


def _ninja() -> str:
    import ninja

    return str(Path(ninja.BIN_DIR) / "ninja")


def _run(command: list[str], what: str) -> str:
    env = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    env |= {"LC_ALL": "C", "NINJA": _ninja(), "NINJA_STATUS": "[%f/%t] "}
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise MissingEnvironment(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        cut = ["…"] if len(lines) > TAIL else []
        raise MissingEnvironment(
            "\n".join([f"{what}:", *cut, *lines[-TAIL:], f"(command: {shlex.join(command)})"]),
            hint="tinyvmi-build doctor checks the toolchain",
        )
    return done.stdout
