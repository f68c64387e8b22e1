"""Small verbs, as a user calls them."""

import gzip
import json
import subprocess
import sys

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.cli.main import run
from tinyvmi_build.config.schema import schema_text
from tinyvmi_build.errors import Exit
from tinyvmi_build.paths import CACHE_TAG, cache_dir


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder, and no configuration or cache of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def project(here):
    (here / "tinyvmi.toml").write_text('[kernel]\npackages = ["k.deb"]\n')
    return here


def test_config_show_and_check(project, capsys):
    (project / "k.deb").write_bytes(writers.deb({}))
    assert run(["config", "check"]) == 0
    assert "checks: identity, syscall-table, idt, policy-globals, function-" in capsys.readouterr().out
    assert run(["config", "show", "--origin", "-s", "monitor.period=3s"]) == 0
    out = capsys.readouterr().out
    assert 'monitor.period = "3s"                         # --set\n' in out
    assert "checks.policy-globals.core_pattern = (the kernel's own)" in out
    assert run(["config", "show", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["keys"]["monitor.period"] == {"value": 60000, "origin": "default"}
    assert document["keys"]["kernel.packages"]["value"] == [str(project / "k.deb")]


def test_config_errors_come_out_as_errors(project, capsys):
    (project / "tinyvmi.toml").write_text("[kernel]\npackage = 1\n")
    assert run(["config", "check"]) == Exit.USAGE
    assert capsys.readouterr().err == (
        "error: tinyvmi.toml:2: unknown key 'kernel.package'\nhint: did you mean 'kernel.packages'?\n"
    )


def test_config_check_names_every_file_that_cannot_be_used(here, capsys):
    (here / "arm.deb").write_bytes(writers.deb({}, control="Package: linux-image\nArchitecture: arm64\n"))
    (here / "k.txt").write_text("no kernel")
    (here / "tinyvmi.toml").write_text(
        '[kernel]\npackages = ["gone.deb"]\nmodules = ["gone.ko"]\n[minios]\ntree = "gone"\n'
    )
    assert run(["config", "check"]) == Exit.USAGE
    err = capsys.readouterr().err
    for line, name in ((2, "gone.deb"), (3, "gone.ko")):
        assert f"error: tinyvmi.toml:{line}: {here / name}: cannot be read: No such file" in err
    assert f"error: tinyvmi.toml:5: {here / 'gone'}: no such folder" in err
    for name, message in (
        ("arm.deb", "a package for arm64"),
        ("k.txt", "not a kernel"),
    ):
        assert run(["config", "check", "-s", f'kernel.packages=["{name}"]', "-s", "kernel.modules=[]"]) == 2
        assert message in capsys.readouterr().err
    assert run(["config", "check", "-s", "kernel.packages=[]", "-s", "kernel.profile=k.txt"]) == 2
    assert "not a profile" in capsys.readouterr().err


def test_config_schema(capsys):
    assert run(["config", "schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_init_refuses_what_is_no_kernel_and_what_is_there(here, capsys):
    (here / "k").write_bytes(b"not a kernel" * 100)
    assert run(["init", "--kernel", "k"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("error: k: ")
    assert run(["init", "--kernel", "missing"]) == Exit.USAGE
    assert not (here / "tinyvmi.toml").exists()
    (here / "tinyvmi.toml").write_text("mine\n")
    assert run(["init", "--kernel", "k"]) == Exit.USAGE
    assert "exists already\nhint: --force" in capsys.readouterr().err
    assert (here / "tinyvmi.toml").read_text() == "mine\n"


def test_a_config_without_its_kernel_is_a_clear_error(project, capsys):
    for verb in ("render", "build"):
        assert run([verb]) == Exit.USAGE
        assert "k.deb" in capsys.readouterr().err


def test_inspect_says_what_is_no_image(here, capsys):
    (here / "x.gz").write_bytes(gzip.compress(b"hello"))
    assert run(["inspect", "x.gz"]) == Exit.USAGE
    assert "x.gz: not an image of a monitor" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell, capsys):
    assert run(["completion", shell]) == 0
    assert "_TINYVMI_BUILD_COMPLETE" in capsys.readouterr().out


def test_completion_completes():
    env = {"_TINYVMI_BUILD_COMPLETE": "bash_complete", "COMP_WORDS": "tinyvmi-build ins", "COMP_CWORD": "1"}
    code = "from tinyvmi_build.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,inspect\n"


def build_folder(root, name="guest"):
    folder = root / "build" / name
    (folder / "generated").mkdir(parents=True)
    (folder / "generated" / "sources.txt").write_text("a.c\n")
    (folder / "meson").mkdir()
    (folder / f"tinyvmi-{name}.gz").write_text("x")
    return folder


def test_clean_removes_what_is_ours_and_only_that(project, capsys):
    guest, mixed = build_folder(project), build_folder(project, "mixed")
    (mixed / "notes.txt").write_text("mine")
    (project / "build" / "other").mkdir()
    (project / "build" / "other" / "tinyvmi-x.gz").write_text("mine")
    assert run(["clean", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would remove") == 6
    assert guest.exists()
    assert run(["clean"]) == 0
    assert not guest.exists()
    assert [p.name for p in mixed.iterdir()] == ["notes.txt"]
    assert (project / "build" / "other" / "tinyvmi-x.gz").exists()


def test_clean_needs_a_project(here, capsys):
    assert run(["clean"]) == Exit.USAGE
    assert "works beside a tinyvmi.toml" in capsys.readouterr().err


def test_clean_removes_a_cache_only_if_the_tool_made_it(here, capsys):
    cache_dir("profiles")
    assert (here / "cache" / CACHE_TAG).exists()
    assert run(["clean", "--cache"]) == 0
    assert not (here / "cache").exists()
    (here / "cache").mkdir()
    (here / "cache" / "thesis.tex").write_text("mine")
    cache_dir("profiles")
    assert run(["clean", "--cache"]) == Exit.USAGE
    assert "was not made by tinyvmi-build" in capsys.readouterr().err
    assert (here / "cache" / "thesis.tex").exists()
