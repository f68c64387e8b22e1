"""A dom0 with click alone: every verb names the package that is missing, and doctor names all of them."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.errors import Exit

WITHOUT = """
import importlib.metadata, json, sys
missing = {"blake3", "capstone", "elftools", "jinja2", "lz4", "mesonbuild", "ninja", "zstandard"}
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Finder())
version = importlib.metadata.version
def none(name):
    if name in missing | {"meson", "pyelftools"}:
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = none
from tinyvmi_build.cli.main import main
main(json.loads(sys.argv[1]))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kernel = writers.bzimage(writers.payload(writers.vmlinux(), "zstd"))
    (tmp_path / "k.deb").write_bytes(writers.deb({"./boot/vmlinuz-1": kernel}, "zst"))
    (tmp_path / "tinyvmi.toml").write_text('[kernel]\npackages = ["k.deb"]\n')
    (tmp_path / "m.raw").write_bytes(bytes(2 << 20))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["build"], "python3-"),
        (["render"], "python3-jinja2"),
        (["check", "--dump", "m.raw", "-c", "."], "python3-"),
        (["profile", "build", "k.deb", "-o", "out"], "python3-zstandard"),
        (["init", "--kernel", "k.deb", "new"], "python3-zstandard"),
        (["minios", "show"], "python3-jinja2"),
        (["bench", "--from", "m.raw"], "python3-jinja2"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_with_click_alone_the_missing_package_is_named(project, words, package):
    command = [sys.executable, "-c", WITHOUT, json.dumps(["-q", *words])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project)
    assert done.returncode == Exit.ENVIRONMENT, done.stderr
    error, hint = done.stderr.splitlines()
    assert re.fullmatch(r"error: the Python package '\w+' is missing", error)
    assert f"apt-get install {package}" in hint and "pip install " in hint


def test_with_click_alone_doctor_names_all_of_them(project):
    command = [sys.executable, "-c", WITHOUT, '["doctor", "--json"]']
    env = os.environ | {"PATH": str(project)}  # no program is found: doctor has no emulator to try
    done = subprocess.run(command, capture_output=True, text=True, cwd=project, env=env)
    rows = {row["id"]: row for row in json.loads(done.stdout)["rows"]}
    for name in ("jinja2", "pyelftools", "meson", "zstandard"):
        assert rows[name]["status"] == "missing" and name in rows[name]["fix"]
    assert done.returncode == Exit.ENVIRONMENT
