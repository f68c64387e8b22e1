"""Compile with meson and ninja: a second build does nothing, and a failed one shows what failed."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.build_directory import SOURCES, BuildDirectory, Purpose, build_directory, copy
from tinyvmi_build.image.tool import build_environment, run_tool
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.tree import write

CROSS_FILE = "x86_64-tinyvmi.cross"
_WHERE = "where.json"  # beside what was made
_STAMP = "tinyvmi-setup.json"
_COMPILING = re.compile(r"^\[\d+/\d+\] Compiling ", re.MULTILINE)


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
    """Make `target` of minios_app with the C in `generated`, for Xen (`cross`) or for this machine.

    It is compiled in the build directory of `kernels` (build-ids), and copied from there into `folder`.
    """
    flags = (str(tree.flags), tree.rev, tree.flags.read_text()) if tree else None
    with build_directory(Purpose(tuple(kernels), cross, flags)) as directory:
        files = (p for p in generated.iterdir() if p.suffix in (".c", ".h", ".txt"))
        copy(files, generated, directory.generated)
        arguments = [str(directory.meson), str(directory.source("minios_app"))]
        arguments += [f"-Dgenerated={directory.generated}"]
        if tree:
            arguments += [f"-Dtree={tree.flags}"]
        if cross:
            arguments += ["--cross-file", str(directory.source("toolchain") / CROSS_FILE)]
        names = "".join(path.read_text() for path in sorted(generated.glob("*sources.txt")))
        try:
            _set_up(directory.meson, arguments, names)
            output = _run([_ninja(), "-C", str(directory.meson), target], "the monitor does not compile")
        except MissingEnvironmentError as error:
            message = _with_paths_of_the_user(error.message, directory, generated)
            raise MissingEnvironmentError(message, hint=error.hint) from error
        made = folder / target
        if write(made, (directory.meson / target).read_bytes()) != "unchanged":
            shutil.copymode(directory.meson / target, made)
        where = {"source": str(data_dir("minios_app")), "build_directory": str(directory.path)}
        write(folder / _WHERE, json.dumps(where) + "\n")
    return Compiled(made, len(_COMPILING.findall(output)))


def compiled_in(folder: Path) -> Path:
    """The build directory where the files in `folder` were compiled; it may be gone."""
    return Path(json.loads((folder / _WHERE).read_text())["build_directory"])


def _with_paths_of_the_user(message: str, directory: BuildDirectory, generated: Path) -> str:
    """The message with the files that the user can look at in place of their copies."""
    replaced = {str(directory.generated): str(generated)}
    for name in SOURCES:
        original = str(data_dir(name))
        replaced |= {str(directory.source(name)): original, f"../{name}": original}
    for copied, original in replaced.items():
        message = message.replace(copied, original)
    return message


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
    return run_tool(command, what, env=build_environment() | {"NINJA": _ninja(), "NINJA_STATUS": "[%f/%t] "})
