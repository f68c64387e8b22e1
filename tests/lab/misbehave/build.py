"""Builds the test monitors on the built-in base as its own test image is built; and that image itself."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import ninja

from tinyvmi_build.paths import data_dir

SOURCE = Path(__file__).with_name("misbehave.c")
REACH = Path(__file__).with_name("reach.c")


NINJA = str(Path(ninja.BIN_DIR) / "ninja")


def build_images(folder: Path) -> tuple[Path, Path, Path]:
    """The misbehaving image, the base's test image, and that of reach.c; ELF all, built in `folder`."""
    _set_up(folder)
    return _build(folder, SOURCE), folder / "kernel/smoke.elf", _build(folder, REACH)


def build_reach(folder: Path) -> Path:
    """The image that tries what nobody has given it (reach.c), an ELF built in `folder`."""
    _set_up(folder)
    return _build(folder, REACH)


def build_keeper(folder: Path) -> Path:
    """The image that keeps patterns in vector registers (keeper.c), an ELF built in `folder`."""
    _set_up(folder)
    return _build(folder, Path(__file__).with_name("keeper.c"))


def _set_up(folder: Path) -> None:
    cross = data_dir("toolchain") / "x86_64-tinyvmi.cross"
    setup = [sys.executable, "-m", "mesonbuild.mesonmain", "setup", str(folder), str(data_dir("minios_app"))]
    _run([*setup, "--cross-file", str(cross), "-Dsmoke=true"], folder)
    _run([NINJA, "kernel/smoke.elf"], folder)


def _build(folder: Path, source: Path) -> Path:
    name = source.stem
    link = shlex.split(_run([NINJA, "-t", "commands", "kernel/smoke-bare.elf"], folder).splitlines()[-1])
    commands = json.loads((folder / "compile_commands.json").read_text())
    entry = next(c for c in commands if "libapp.a.p" in c["output"])
    compile_ = shlex.split(entry["command"])
    made = {entry["output"]: f"{name}.o", entry["file"]: str(source), f"{entry['output']}.d": f"{name}.d"}
    _run([made.get(word, word) for word in compile_], folder)
    others = [word for word in link if "libapp.a.p" not in word]
    others[others.index("-o") + 1] = f"{name}.elf"
    _run([*others, f"{name}.o"], folder)
    return folder / f"{name}.elf"


def _run(argv: list[str], cwd: Path) -> str:
    env = {**os.environ, "NINJA": NINJA}  # meson would search for it on the PATH alone
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout}{done.stderr}"
    return done.stdout
