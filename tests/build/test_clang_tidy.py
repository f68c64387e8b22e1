"""clang-tidy finds nothing in the monitor's C, as the build of an image compiles it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.build.conftest import ROOT, directory_of
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.progress import Progress

TIDY = Path(sys.executable).with_name("clang-tidy")
#: Flags that only gcc knows; none of them changes what the code means.
_GCC_ONLY = re.compile(
    r"-fno-tree-loop-distribute-patterns|-mstack-protector-guard=\S+|-Winvalid-pch|-fdiagnostics-color=\S+"
)


@pytest.fixture
def built(project):  # type: ignore[no-untyped-def]
    """Built here: builds of one kernel share their copy of the sources, which other tests change."""
    return build_monitor(project("tidied"), Progress(quiet=True))


def commands(built: BuildResult, folder: Path) -> list[Path]:
    """Write the compile commands of `built`'s image, for clang, into `folder`; the files they compile."""
    build_directory = directory_of(built)
    made = json.loads((build_directory / "meson" / "compile_commands.json").read_text())
    chosen = {}
    for command in made:
        source = (Path(command["directory"]) / command["file"]).resolve()
        if source.suffix == ".c" and "generated" not in source.relative_to(build_directory).parts:
            chosen.setdefault(source, command | {"command": _GCC_ONLY.sub("", command["command"])})
    (folder / "compile_commands.json").write_text(json.dumps(list(chosen.values())))
    return list(chosen)


def tidy(folder: Path, files: list[Path], *more: str) -> str:
    """What clang-tidy finds; "" if that is nothing."""
    checks = f"--config-file={ROOT / '.clang-tidy'}"

    def run(part: list[Path]) -> str:
        command = [str(TIDY), "-p", str(folder), checks, "--quiet", *more, *map(str, part)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode else ""

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        return "".join(pool.map(run, [files[i::workers] for i in range(workers)]))


def test_the_monitor(built: BuildResult, tmp_path: Path) -> None:
    files = commands(built, tmp_path)
    assert len(files) > 60
    found = tidy(tmp_path, files)
    assert not found, found


def test_a_mistake_is_found(built: BuildResult, tmp_path: Path) -> None:
    commands(built, tmp_path)
    wrong = tmp_path / "wrong.c"
    wrong.write_text("int f(int a);\nint f(int a)\n{\n    if (a = 1)\n        return a;\n    return 0;\n}\n")
    database = [{"directory": str(tmp_path), "file": "wrong.c", "command": "clang -c wrong.c"}]
    (tmp_path / "compile_commands.json").write_text(json.dumps(database))
    assert "bugprone-assignment-in-if-condition" in tidy(tmp_path, [wrong])
