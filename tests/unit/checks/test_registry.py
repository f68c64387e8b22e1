"""The registry finds every check, from source and from compiled files alone, as the lab's dom0 has them."""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
from pathlib import Path

import tinyvmi_build
from tinyvmi_build.checks import registry

PACKAGE = Path(tinyvmi_build.__file__).parent
COMMAND = "from tinyvmi_build.checks import registry; print(*registry.names())"


def test_every_folder_with_a_declaration_is_a_check():
    folders = {path.parent.name for path in (PACKAGE / "checks").glob("*/check.py")}
    assert folders == {check.identifier for check in registry.checks()}


def test_compiled_files_are_enough(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "tinyvmi_build", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(tmp_path, legacy=True, quiet=1)
    for source in tmp_path.rglob("*.py"):
        source.unlink()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert tuple(done.stdout.split()) == registry.names()
