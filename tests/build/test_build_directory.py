"""Build directories: changed inputs are newer, another toolchain has another one, old ones are removed."""

import os
import time

import pytest

from tinyvmi_build.image import build_directory as module
from tinyvmi_build.image.build_directory import Purpose, build_directory, copy


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compile"


def purpose(name):
    return Purpose(kernels=(name,), cross=True)


def used(name):
    """The folder of a build directory that was used for a kernel and left."""
    with build_directory(purpose(name)) as directory:
        return directory.path


def test_a_copy_touches_what_differs_and_nothing_else(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deeper").mkdir(parents=True)
    same, other, gone = source / "same.c", source / "deeper/other.h", source / "gone.h"
    for path in (same, other, gone):
        path.write_text("old")
        os.utime(path, (0, 0))
    copy([same, other, gone], source, target)
    before = {p.name: p.stat().st_mtime_ns for p in target.rglob("*.?")}
    assert time.time_ns() - before["same.c"] < 60e9  # of now, whatever the source's time
    other.write_text("new")
    os.utime(other, (0, 0))
    copy([same, other], source, target)
    after = {p.name: p.stat().st_mtime_ns for p in target.rglob("*.?")}
    assert (target / "deeper/other.h").read_text() == "new"
    assert after["other.h"] > before["other.h"]
    assert after["same.c"] == before["same.c"]
    assert "gone.h" not in after


def test_it_holds_copies_of_the_installation(cache):
    folder = used("a")
    assert (folder / "minios_app/meson.build").read_bytes() == (
        module.data_dir("minios_app") / "meson.build"
    ).read_bytes()
    assert (folder / "toolchain/monitor.lds").is_file()
    assert folder.parent == cache


def test_each_purpose_and_each_toolchain_has_its_own(cache, tmp_path, monkeypatch):
    first = used("a")
    assert used("a") == first
    assert used("b") != first
    header = tmp_path / "xen.h"
    header.write_text("x")
    monkeypatch.setattr(module, "_HEADERS", (header,))
    before = used("a")
    header.unlink()
    header.write_text("y")
    os.utime(header, (0, 0))  # of the same size, and older: as a package's files are
    after = used("a")
    assert len({first, before, after}) == 3
    monkeypatch.setattr(module, "_version", lambda name: "0")
    assert used("a") not in {first, before, after}


def test_the_last_used_stay_and_those_in_use(cache, monkeypatch):
    monkeypatch.setattr(module, "DIRECTORIES_MAX", 2)
    with build_directory(purpose("in use")) as busy:
        os.utime(busy.path, (0, 0))
        folders = [used(name) for name in "abc"]
        assert [folder.exists() for folder in folders] == [False, True, True]
        assert busy.path.exists()
    used("a")
    assert not busy.path.exists()


def test_without_a_cache_it_is_removed(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / "file" / "cache"))
    with build_directory(purpose("a")) as directory:
        assert (directory.source("minios_app") / "meson.build").is_file()
    assert not directory.path.exists()
