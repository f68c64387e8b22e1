"""An image on a tree of Mini-OS has exactly one app_main."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.image.tree import _require_one_app_main


@pytest.mark.parametrize("definitions", [0, 1, 2])
def test_there_is_one_app_main(tmp_path: Path, definitions: int) -> None:
    """`static` stands for a function that the tree has hidden."""
    objects = []
    for i in range(2):
        text = f"{'static ' if i else ''}__attribute__((used)) int app_main(void) {{ return {i}; }}\n"
        (tmp_path / f"{i}.c").write_text(text if i < definitions else f"int other_{i};\n")
        objects.append(tmp_path / f"{i}.o")
        subprocess.run(["gcc", "-c", tmp_path / f"{i}.c", "-o", objects[-1]], check=True)
    subprocess.run(["ld", "-r", *objects, "-o", tmp_path / "image"], check=True)
    if definitions == 1:
        _require_one_app_main(tmp_path / "image")
        return
    with pytest.raises(MissingEnvironmentError, match=f"{definitions} functions app_main"):
        _require_one_app_main(tmp_path / "image")
