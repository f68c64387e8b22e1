"""Meson and ninja, driven so that a second build does nothing and a failing one shows what failed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.build_directory import SOURCES, copy, workshop
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.tree import write

CROSS_FILE = "x86_64-tinyvmi.cross"
WHERE = "where.json"  # beside what was made: the sources, and the workshop
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


@dataclass(frozen=True)
class Tree:
    """A Mini-OS tree that the monitor is compiled for: the file of its flags, and its revision."""

    flags: Path
    rev: str


def compile_target(
    target: str,
    *,
    folder: Path,
    generated: Path,
    cross: bool,
    kernels: Sequence[str],
    tree: Tree | None = None,
) -> Compiled:
    """Make `target` of minios_app with the C in `generated`, for Xen (`cross`) or for here.

    It is compiled in the workshop of `kernels` (build-ids), and brought from there into `folder`.
    """
    names = "".join(path.read_text() for path in sorted(generated.glob("*sources.txt")))
    purpose = {
        "kernels": list(kernels),
        "cross": cross,
        "tree": [str(tree.flags), tree.rev, tree.flags.read_text()] if tree else None,
    }
    with workshop(purpose) as room:
        files = (p for p in generated.iterdir() if p.suffix in (".c", ".h", ".txt"))
        copy(files, generated, room / "generated")
        arguments = [str(room / "meson"), str(room / "minios_app"), f"-Dgenerated={room / 'generated'}"]
        if tree:
            arguments += [f"-Dtree={tree.flags}"]
        if cross:
            arguments += ["--cross-file", str(room / "toolchain" / CROSS_FILE)]
        # Messages are of what the user can look at.
        shown = {str(room / "generated"): str(generated)}
        for name in SOURCES:
            shown |= {str(room / name): str(data_dir(name)), f"../{name}": str(data_dir(name))}
        try:
            _set_up(room / "meson", arguments, names)
            output = _run([_ninja(), "-C", str(room / "meson"), target], "the monitor does not compile")
        except MissingEnvironmentError as error:
            message = error.message
            for inside, outside in shown.items():
                message = message.replace(inside, outside)
            raise MissingEnvironmentError(message, hint=error.hint) from error
        made = folder / target
        if write(made, (room / "meson" / target).read_bytes()) != "unchanged":
            shutil.copymode(room / "meson" / target, made)
        where = {"source": str(data_dir("minios_app")), "workshop": str(room)}
        write(folder / WHERE, json.dumps(where) + "\n")
    return Compiled(made, len(_COMPILING.findall(output)))


def _set_up(folder: Path, arguments: list[str], names: str) -> None:
    """Have meson make the ninja folder, unless it is there for the same files (`names`) and options."""
    stamp = {"arguments": arguments, "sources": names}
    old = _read_stamp(folder)
    if old == stamp:
        return
    mode = []
    if old is not None and old["arguments"] == arguments:
        mode = ["--reconfigure"]
    else:
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "mesonbuild.mesonmain", "setup", *mode, *arguments]
    _run(command, "meson cannot set the build up")
    (folder / _STAMP).write_text(json.dumps(stamp))


def run_tool(command: list[str], what: str) -> None:
    """Run a tool of the toolchain; MissingEnvironmentError with its output if it fails."""
    _run(command, what)


def _read_stamp(folder: Path) -> dict[str, object] | None:
    if not (folder / "build.ninja").is_file():
        return None
    try:
        stamp: dict[str, object] = json.loads((folder / _STAMP).read_text())
        return stamp
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
        raise MissingEnvironmentError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        cut = ["…"] if len(lines) > TAIL else []
        raise MissingEnvironmentError(
            "\n".join([f"{what}:", *cut, *lines[-TAIL:], f"(command: {shlex.join(command)})"]),
            hint="tinyvmi-build doctor checks the toolchain",
        )
    return done.stdout
