"""Links in an unpacked root stay within it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.lab.test_packages import deb
from tinyvmi_build.lab.machine.links import confine
from tinyvmi_build.lab.machine.packages import unpack


@pytest.mark.parametrize(
    "target, confined",
    [
        ("/etc/passwd", "../../etc/passwd"),
        ("/", "../.."),
        ("../../../../etc/passwd", "../../etc/passwd"),
        ("//etc/./x/../passwd", "../../etc/passwd"),
        ("../lib/a", "../lib/a"),
        ("a", "a"),
        ("/usr/bin/b", "b"),
    ],
)
def test_a_link_is_resolved_within_the_root(tmp_path: Path, target: str, confined: str) -> None:
    link = tmp_path / "root/usr/bin/link"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    confine(tmp_path / "root")
    assert os.readlink(link) == confined
    inside = (tmp_path / "root").resolve()
    assert Path(os.path.normpath(link.parent / confined)).is_relative_to(inside)


def test_a_link_to_a_folder_is_one_too(tmp_path: Path) -> None:
    """Its files are those below the root, and nothing behind it is changed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "link").symlink_to("/etc/passwd")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to(outside)
    confine(root)
    assert os.readlink(root / "folder") == str(outside).lstrip("/")
    assert os.readlink(outside / "link") == "/etc/passwd"


def test_the_hosts_file_is_not_taken_for_a_packages(tmp_path: Path) -> None:
    """Python's own package links its sitecustomize.py like that."""
    host = tmp_path / "host.py"
    host.write_text("the host's")
    package = deb(tmp_path, "python", {f"{str(host).lstrip('/')}": "the package's", "usr/other": ""})
    tree = tmp_path / "linked.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text((tmp_path / "python.tree/DEBIAN/control").read_text())
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/sitecustomize.py").symlink_to(host)
    subprocess.run(["dpkg-deb", "-b", tree, tmp_path / "linked.deb"], check=True, capture_output=True)
    root = unpack([package, tmp_path / "linked.deb"], tmp_path / "out")
    assert (root / "usr/lib/sitecustomize.py").read_text() == "the package's"
