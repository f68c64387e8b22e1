"""Reading with bounds, writing as a whole: files.py, and what stands on it."""

import errno
import os
import stat

import pytest

from tinyvmi_build import files
from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.paths import cache_dir

SMALL = files.FileKind("a small thing", 100)


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100)
    assert files.read_file(tmp_path / "f", SMALL) == b"x" * 100
    (tmp_path / "f").write_bytes(b"x" * 101)
    with pytest.raises(UsageError, match="is larger than"):
        files.read_file(tmp_path / "f", SMALL)


def test_a_file_that_hides_its_size(tmp_path, monkeypatch):
    """As those of /proc do, which claim no byte at all."""
    (tmp_path / "f").write_bytes(b"x" * 5000)
    monkeypatch.setattr(files, "_require_regular", lambda *_: None)
    with pytest.raises(UsageError, match="is larger than"):
        files.read_file(tmp_path / "f", SMALL)


@pytest.mark.parametrize("name", ["fifo", "folder", "/dev/zero"])
def test_what_is_no_regular_file_is_neither_read_nor_written(tmp_path, name):
    path = tmp_path / name
    if name == "fifo":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    what = {"fifo": "a pipe", "folder": "a folder", "/dev/zero": "a device"}[name]
    before = os.stat(path)
    for action in (
        lambda: files.read_file(path, SMALL),
        lambda: files.write_file(path, b"x"),
        lambda: files.require_writable(path),
    ):
        with pytest.raises(UsageError, match=f"is {what}$"):
            action()
    after = os.stat(path)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_a_device_stays_a_device(tmp_path):
    """As root, a rename over /dev/null would replace it."""
    node = tmp_path / "node"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root may make device nodes")
    with pytest.raises(UsageError, match="is a device"):
        files.write_file(node, b"x")
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MissingEnvironmentError, match="cannot be written: No space left") as caught:
        files.write_file(path, parts())
    assert "make room" in caught.value.hint
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def test_the_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        files.write_file(tmp_path / "f", "text")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "f").touch()
    files.require_folder(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == ["f"]
    with pytest.raises(UsageError, match="is no folder"):
        files.require_folder(tmp_path / "f" / "x")


@pytest.mark.parametrize("cache", ["file", "file/below", "/proc/nothing", "x" * 300])
def test_a_cache_that_cannot_be_used(tmp_path, monkeypatch, cache):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYVMI_CACHE", str(tmp_path / cache))
    with pytest.raises(MissingEnvironmentError, match="cannot be used: ") as caught:
        cache_dir("profiles")
    assert caught.value.hint == "set TINYVMI_CACHE to a folder that can be written"


def test_no_home(monkeypatch):
    for name in ("HOME", "TINYVMI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    with pytest.raises(MissingEnvironmentError, match="HOME is not set"):
        cache_dir()
