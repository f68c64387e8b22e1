"""What the machine lacks or refuses is no fault of the tool: it is named, with what mends it."""

import os
import re
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.cli import main
from tinyvmi_build.cli.main import run
from tinyvmi_build.doctor import checks
from tinyvmi_build.errors import Exit
from tinyvmi_build.paths import data_dir, doc

PACKAGE = Path(main.__file__).parents[1]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kernel = writers.bzimage(writers.payload(writers.vmlinux(), "zstd"))
    (tmp_path / "k.deb").write_bytes(writers.deb({"./boot/vmlinuz-1": kernel}, "zst"))
    (tmp_path / "tinyvmi.toml").write_text('[kernel]\npackages = ["k.deb"]\n')
    (tmp_path / "m.raw").write_bytes(bytes(2 << 20))
    return tmp_path


@pytest.mark.parametrize(
    "words", [["profile", "build", "k.deb", "-o", "out"], ["init", "--kernel", "k.deb", "x"]]
)
@pytest.mark.parametrize("cache", ["k.deb", "/proc/1/nothing"])
def test_a_cache_that_cannot_be_used(project, monkeypatch, capsys, words, cache):
    monkeypatch.setenv("TINYVMI_CACHE", cache)
    assert run(["-q", *words]) == Exit.ENVIRONMENT
    err = capsys.readouterr().err
    assert err.startswith(f"error: the cache {cache}") and "set TINYVMI_CACHE" in err
    row = checks._disk()
    assert row.status == "missing" and row.fix.startswith(f"the cache {cache} cannot be used: ")


def test_a_cache_without_room(project, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("TINYVMI_CACHE", str(project / "cache"))
    monkeypatch.setattr(os, "fchmod", full)
    assert run(["-q", "profile", "build", "k.deb", "-o", "out"]) == Exit.ENVIRONMENT
    err = capsys.readouterr().err
    assert f"the cache {project / 'cache'} cannot be used: " in err and "No space left" in err
    assert "make room there, or set TINYVMI_CACHE" in err
    assert not [p for p in (project / "cache").rglob("*") if p.is_file() and "profile" in p.name]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "there is not enough memory"),
        (BrokenProcessPool("x"), "a worker process was killed"),
        (OSError(28, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_what_the_machine_refuses(error, text, capsys, monkeypatch):
    def fail(**_):
        raise error

    monkeypatch.setattr(main.root, "main", fail)
    assert run([]) == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith(f"error: {text}\nhint: ")


def test_the_pages_that_messages_cite_are_there():
    """In a checkout and in a wheel alike: the folder goes with the package."""
    cited = [
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"""\bdoc\(["']([^"']+)["']\)""", path.read_text())
    ]
    assert cited
    for name in cited:
        assert doc(name) == str(data_dir("docs") / name) and Path(doc(name)).is_file()
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"""hint=f?["']docs/""", path.read_text()), path


def test_control_characters_of_names_do_not_reach_the_terminal(project, capsys):
    name = "k\x1b[2J\x1b]0;owned\x07\u202ebed.é"
    assert run(["profile", "build", name, "-o", "out"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert "k\\x1b[2J\\x1b]0;owned\\x07\\u202ebed.é: cannot be read" in err
    assert all(c.isprintable() or c == "\n" for c in err)
