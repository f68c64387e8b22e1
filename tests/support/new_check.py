"""A copy of the repository with one check more, as `make new-check` writes it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = "first-words"


def hashes(tree: Path) -> dict[str, str]:
    """The content of every file, by its path."""
    return {
        path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(tree: Path, *words: str, status: int = 0) -> str:
    """A Python command of the copied tree; what it wrote to stdout."""
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def copied_tree(copy: Path) -> Path:
    """The files of the repository, those that nobody has added to git included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def tree_with_new_check(copy: Path) -> Path:
    """The copy, to which the scaffold has added files, and of which it has changed none."""
    before = hashes(copied_tree(copy))
    made = run(copy, "toolchain/new_check.py", NAME).split()
    after = hashes(copy)
    assert {path: after[path] for path in before} == before, "an existing file was changed"
    assert set(after) - set(before) == set(made)
    return copy
