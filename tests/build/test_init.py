"""`init` on a real package."""

from __future__ import annotations

import tomllib

import pytest

from tinyvmi_build.cli.main import run
from tinyvmi_build.config.load import load
from tinyvmi_build.config.schema import schema_text
from tinyvmi_build.errors import Exit


@pytest.fixture
def here(tmp_path, monkeypatch, cloud_kernel):
    """An empty current folder, and no configuration or cache of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_init_writes_what_load_reads(here, capsys, cloud_kernel):
    (here / "k.deb").symlink_to(cloud_kernel)
    kernels = ["--kernel", "k.deb", "--kernel", str(cloud_kernel)]
    assert run(["-q", "init", *kernels, "--target", "web-1", "Web Shop"]) == 0
    data = tomllib.loads((here / "Web Shop" / "tinyvmi.toml").read_text())
    assert data["monitor"]["name"] == "web-shop"
    assert data["target"]["domain"] == "web-1"
    assert data["kernel"]["packages"] == ["../k.deb", str(cloud_kernel)]
    packages = load(here / "Web Shop").config.kernel.packages
    assert [p.resolve() for p in packages] == [cloud_kernel.resolve()] * 2
    assert (here / "Web Shop" / "tinyvmi.schema.json").read_text() == schema_text()
    assert run(["config", "check", "-c", "Web Shop"]) == 0
    assert run(["init", "--kernel", str(cloud_kernel), "--name", "A B", "other"]) == Exit.USAGE
    assert "1 to 31 lower-case letters" in capsys.readouterr().err
