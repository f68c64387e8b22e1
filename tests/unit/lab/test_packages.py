from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.guest.modules import in_order
from tinyvmi_build.lab.machine.packages import _locked, parts_of, unpack, vmlinuz_of
from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import timeout


def deb(folder: Path, name: str, files: dict[str, str]) -> Path:
    tree = folder / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    )
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    made = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(made)], check=True, capture_output=True)
    return made


def test_packages_are_unpacked_together_and_once(tmp_path: Path) -> None:
    one, two = deb(tmp_path, "one", {"a": "1", "c": "1"}), deb(tmp_path, "two", {"b": "2", "c": "2"})
    into = tmp_path / "out"
    unpack([one, two], into)
    assert [(into / name).read_text() for name in "abc"] == ["1", "2", "2"]
    (into / "a").write_text("kept")
    unpack([one, two], into)
    assert (into / "a").read_text() == "kept"
    unpack([two], into)
    assert not (into / "a").exists()


def test_a_broken_package_leaves_the_old_state(tmp_path: Path) -> None:
    one, broken = deb(tmp_path, "one", {"a": "1"}), tmp_path / "broken.deb"
    broken.write_bytes(b"!<arch>\nnonsense")
    unpack([one], tmp_path / "out")
    with pytest.raises(MissingEnvironmentError, match="cannot unpack .*broken.deb"):
        unpack([one, broken], tmp_path / "out")
    assert (tmp_path / "out/a").read_text() == "1"
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("place", ["boot/vmlinuz-6.1", "usr/lib/modules/7.2/vmlinuz"])
def test_the_kernel_is_found_where_debian_puts_it(tmp_path: Path, place: str) -> None:
    with pytest.raises(MissingEnvironmentError, match="holds 0 kernels"):
        vmlinuz_of(tmp_path)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    assert vmlinuz_of(tmp_path) == tmp_path / place


def test_a_kernel_in_two_packages_is_taken_together(tmp_path: Path) -> None:
    kernel = tmp_path / "linux-binary-7.2-amd64_7.2-1_amd64.deb"
    kernel.touch()
    assert parts_of(kernel) == [kernel]
    modules = tmp_path / "linux-modules-7.2-amd64_7.2-1_amd64.deb"
    modules.touch()
    assert parts_of(kernel) == [kernel, modules]
    assert parts_of(tmp_path / "linux-image-6.1_1_amd64.deb") == [tmp_path / "linux-image-6.1_1_amd64.deb"]


def test_modules_come_behind_what_they_need(tmp_path: Path) -> None:
    folder = tmp_path / "lib/modules/1/kernel"
    folder.mkdir(parents=True)
    (folder / "top-of.ko").write_bytes(b"x\0depends=middle,base\0y")
    (folder / "middle.ko.xz").write_bytes(lzma.compress(b"x\0depends=base\0y"))
    (folder / "base.ko.gz").write_bytes(gzip.compress(b"x\0depends=\0y"))
    assert list(in_order(tmp_path, ["top_of", "base"])) == ["base", "middle", "top_of"]
    assert in_order(tmp_path, ["middle"])["middle"] == b"x\0depends=base\0y"
    assert list(in_order(tmp_path, ["other?", "base?"])) == ["base"]
    with pytest.raises(MissingEnvironmentError, match="has no module other"):
        in_order(tmp_path, ["other"])


def test_who_holds_the_lock_is_named(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from tinyvmi_build.lab.machine.packages import _locked\n"
        "from tinyvmi_build.progress import Progress\n"
        "with _locked(pathlib.Path(sys.argv[1]), Progress()): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "held\n"
        heard, entered = io.StringIO(), threading.Event()

        def wait() -> None:
            with _locked(tmp_path, Progress(heard)):
                entered.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        deadline = time.monotonic() + timeout(20)
        while not heard.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert f"{tmp_path} is in use by process {other.pid} ({sys.executable} -c" in heard.getvalue()
        assert not entered.is_set()
        other.stdin.close()
        waiting.join(timeout(20))
        assert entered.is_set()
