"""Builds misbehave.c on the built-in base, as the base's own test image is built; and that image itself."""

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


NINJA = str(Path(ninja.BIN_DIR) / "ninja")


def build_images(folder: Path) -> tuple[Path, Path]:
    """The misbehaving image and the base's test image, ELF both, built in `folder`."""
    cross = data_dir("toolchain") / "x86_64-tinyvmi.cross"
    setup = [sys.executable, "-m", "mesonbuild.mesonmain", "setup", str(folder), str(data_dir("minios_app"))]
    _run([*setup, "--cross-file", str(cross), "-Dsmoke=true"], folder)
    _run([NINJA, "base/smoke.elf"], folder)
    return _misbehave(folder), folder / "base/smoke.elf"


def _misbehave(folder: Path) -> Path:
    link = shlex.split(_run([NINJA, "-t", "commands", "base/smoke-bare.elf"], folder).splitlines()[-1])
    commands = json.loads((folder / "compile_commands.json").read_text())
    entry = next(c for c in commands if "libapp.a.p" in c["output"])
    compile_ = shlex.split(entry["command"])
    made = {entry["output"]: "misbehave.o", entry["file"]: str(SOURCE), f"{entry['output']}.d": "misbehave.d"}
    _run([made.get(word, word) for word in compile_], folder)
    others = [word for word in link if "libapp.a.p" not in word]
    others[others.index("-o") + 1] = "misbehave.elf"
    _run([*others, "misbehave.o"], folder)
    return folder / "misbehave.elf"


def _run(argv: list[str], cwd: Path) -> str:
    env = {**os.environ, "NINJA": NINJA}  # meson would look for it on the PATH alone
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout}{done.stderr}"
    return done.stdout
