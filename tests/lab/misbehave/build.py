"""Builds misbehave.c on the built-in base, with the compiler flags and link of the base's own test image."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import ninja

from tinyvmi_build.paths import cache_dir, data_dir

SOURCE = Path(__file__).with_name("misbehave.c")


def build() -> Path:
    """The ELF image."""
    folder = cache_dir("misbehave")
    tool = str(Path(ninja.BIN_DIR) / "ninja")
    if not (folder / "build.ninja").exists():
        cross = data_dir("toolchain") / "x86_64-tinyvmi.cross"
        meson = [
            sys.executable,
            "-m",
            "mesonbuild.mesonmain",
            "setup",
            str(folder),
            str(data_dir("minios_app")),
        ]
        _run([*meson, "--cross-file", str(cross), "-Dsmoke=true"], folder)
    _run([tool, "base/libbase.a"], folder)
    link = shlex.split(_run([tool, "-t", "commands", "base/smoke-bare.elf"], folder).splitlines()[-1])
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
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(argv)}\n{done.stdout}{done.stderr}"
    return done.stdout
