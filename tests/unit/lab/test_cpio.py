from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvmi_build.lab import guest
from tinyvmi_build.lab.machine.cpio import Archive


def parse(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Path → (mode, content), as the kernel's init/initramfs.c reads it; archives may follow one another."""
    found, at = {}, 0
    while at < len(data):
        if data[at] == 0:
            at += 4
            continue
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        assert fields[2:4] == [0, 0] and fields[5] == 0  # root's, dated 0
        name = data[at + 110 : at + 110 + name_size]
        assert name[-1] == 0
        start = at + (110 + name_size + 3) // 4 * 4
        if name != b"TRAILER!!!\0":
            found[name[:-1].decode()] = (mode, data[start : start + size])
        at = start + (size + 3) // 4 * 4
    return found


def written(archive: Archive) -> bytes:
    out = io.BytesIO()
    archive.write(out)
    return out.getvalue()


# Folders end in d and files in x: no path is both.
names = st.from_regex(r"([a-z]{0,5}d/){0,2}[a-z]{1,6}x", fullmatch=True)


@given(st.dictionaries(names, st.binary(max_size=40), max_size=8))
def test_what_goes_in_comes_out(files: dict[str, bytes]) -> None:
    archive = Archive()
    for path, content in files.items():
        archive.file(path, content)
    data = written(archive)
    found = parse(data)
    assert {p: c for p, (mode, c) in found.items() if mode == 0o100644} == files
    for path in files:
        for parent in list(Path(path).parents)[:-1]:
            assert found[str(parent)][0] == 0o040755
    assert len(data) % 512 == 0
    assert data == written(archive)


def test_concatenated_archives_and_replacement() -> None:
    first, second = Archive(), Archive()
    first.file("a/b", "old")
    first.file("a/b", "new", 0o755)
    second.symlink("a/link", "b")
    second.device("dev/console", 5, 1)
    found = parse(written(first) + written(second))
    assert found["a/b"] == (0o100755, b"new")
    assert found["a/link"] == (0o120777, b"b")
    assert found["dev/console"] == (0o020600, b"")


def test_a_tree_keeps_links_and_executables(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_text("x")
    (tmp_path / "bin/tool").chmod(0o700)
    (tmp_path / "bin/alias").symlink_to("tool")
    archive = Archive()
    archive.copy("usr", tmp_path)
    found = parse(written(archive))
    assert found["usr/bin/tool"] == (0o100755, b"x")
    assert found["usr/bin/alias"] == (0o120777, b"tool")


@pytest.mark.skipif(
    subprocess.run(["which", "busybox"], capture_output=True).returncode != 0, reason="no busybox"
)
def test_busybox_lists_the_guest_s_archive() -> None:
    listed = subprocess.run(
        ["busybox", "cpio", "-t"], input=guest.initramfs(), capture_output=True, check=True
    )
    assert {"init", "bin/busybox", "bin/sh", "proc"} <= set(listed.stdout.decode().split())
