"""The wheel, installed where there is no source tree, builds the same image."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import ninja
import pytest


@pytest.fixture(scope="module")
def wheel(source_tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source_tree]
    subprocess.run(command, check=True, capture_output=True)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """`tinyvmi-build` in an environment with the wheel and this one's libraries, but not its source."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    [site] = venv.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--python", venv / "bin" / "python", "install", "--no-deps", "--no-index", wheel], check=True
    )
    [libraries] = {
        p for p in map(Path, sys.path) if p.name == "site-packages" and p.is_relative_to(sys.prefix)
    }
    # Its own site-packages come first; a plain path entry does not read the .pth file of an editable install.
    (site / "libraries.pth").write_text(f"{libraries}\n")
    (venv / "bin" / "ninja").symlink_to(Path(ninja.BIN_DIR) / "ninja")  # a program of one of the libraries
    return venv / "bin" / "tinyvmi-build"


def test_the_wheel_carries_what_a_build_needs(wheel, source_tree):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("templates", "minios_app", "toolchain", "docs"):
        for path in (source_tree / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"tinyvmi_build/_data/{path.relative_to(source_tree)}" in names
    assert "tinyvmi_build/records/records.schema.json" in names
    assert "tinyvmi_build/report/events.schema.json" in names
    assert not [n for n in names if n.startswith("tests/")]


def test_it_builds_the_same_image_without_the_source_tree(installed, project, built):
    elsewhere = project("elsewhere").root
    done = subprocess.run([installed, "build", "--json"], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    where = json.loads((Path(result["folder"]) / "meson" / "where.json").read_text())
    assert where["source"].endswith("site-packages/tinyvmi_build/_data/minios_app")
    assert str(installed.parent.parent) in where["source"]
    assert Path(result["image"]).read_bytes() == built.image.read_bytes()
    assert result["image_id"] == built.image_id
