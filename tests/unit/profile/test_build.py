"""Packages → profiles: the cache, several kernels, real ones in the time that is promised."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.kernel import writers
from tests.unit.profile.conftest import OTHER_ID
from tinyvmi_build.checks import registry
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.modules import Wanted
from tinyvmi_build.profile import build as build_module
from tinyvmi_build.profile.build import build
from tinyvmi_build.profile.cache import key_with_modules
from tinyvmi_build.progress import Progress


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "linux-image.deb"
    kernel = writers.bzimage(writers.payload(writers.vmlinux(), "xz"))
    path.write_bytes(writers.deb({"./boot/vmlinuz-9.9.9-test": kernel}))
    return path


def answers(kernel):
    return [kernel.values(check.golden) for check in registry.checks()]


def test_known_kernel_is_not_read_again(package, cache, monkeypatch):
    first = build([package], Progress(quiet=True)).kernels[0]
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(KernelImage, "__init__", lambda *_: pytest.fail("read again"))
    second = build([package], Progress(quiet=True)).kernels[0]
    assert second.build_id == first.build_id
    assert answers(second) == answers(first)


def test_other_content_and_other_tool_are_built_again(package, cache, monkeypatch):
    build([package], Progress(quiet=True))
    package.write_bytes(package.read_bytes() + b"\n")
    build([package], Progress(quiet=True))
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr("tinyvmi_build.profile.cache.tool_hash", lambda: b"changed")
    build([package], Progress(quiet=True))
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("wanted", [None, Wanted(("@common",))])
def test_the_same_package_elsewhere_costs_nothing(package, tmp_path, cache, monkeypatch, wanted):
    content = writers.deb(
        {
            "./boot/vmlinuz-9.9.9-test": writers.bzimage(writers.payload(writers.vmlinux(), "xz")),
            "./lib/modules/9.9.9-test/kernel/small.ko": b"no module",
        }
    )
    package.write_bytes(content)
    first = build([package], Progress(quiet=True), wanted).kernels[0]
    known = sorted(cache.iterdir())
    monkeypatch.setattr(KernelImage, "__init__", lambda *_: pytest.fail("read again"))
    (tmp_path / "far away").mkdir()
    other = tmp_path / "far away" / "renamed.deb"
    other.write_bytes(content)
    os.utime(other, (1, 1))
    monkeypatch.chdir(other.parent)
    for spelling in (other, Path("renamed.deb"), Path("./../far away/renamed.deb")):
        second = build([spelling], Progress(quiet=True), wanted).kernels[0]
        assert (second.source, answers(second)) == ("renamed.deb", answers(first))
    assert sorted(cache.iterdir()) == known


def module_key(include=("@common",), *places):
    return key_with_modules("kernel", include, places)


def test_what_makes_another_profile_with_modules(tmp_path):
    folder = tmp_path / "modules"
    (folder / "kernel").mkdir(parents=True)
    (folder / "kernel" / "a.ko").write_bytes(b"a")
    (folder / "x.deb").write_bytes(b"x")
    first = module_key(("@common",), folder)
    assert module_key(("@common",), Path(os.path.relpath(folder))) == first
    assert module_key(("*",), folder) != first
    keys = {first}
    for path in (folder / "kernel" / "a.ko", folder / "x.deb"):
        path.write_bytes(b"changed")
        keys.add(module_key(("@common",), folder))
        replaced = path.with_name("new")
        replaced.write_bytes(b"CHANGED")
        os.utime(replaced, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        replaced.replace(path)  # of the same size and time: another inode
        keys.add(module_key(("@common",), folder))
    (folder / "b.ko").write_bytes(b"b")
    keys.add(module_key(("@common",), folder))
    assert len(keys) == 6
    for name in ("one.ko", "two.ko"):
        (tmp_path / name).write_bytes(b"m")
    assert module_key((), tmp_path / "one.ko") != module_key((), tmp_path / "two.ko")


@pytest.mark.parametrize("damage", (b"", b"nonsense", None))
def test_damaged_cache_is_mended(package, cache, damage):
    good = build([package], Progress(quiet=True))
    (cached,) = cache.iterdir()
    cached.write_bytes(cached.read_bytes()[:-7] if damage is None else damage)
    assert answers(build([package], Progress(quiet=True)).kernels[0]) == answers(good.kernels[0])
    assert len(cached.read_bytes()) > 1000


def test_several(package, tmp_path):
    (tmp_path / "vmlinux").write_bytes(writers.vmlinux(build_id=OTHER_ID))
    profiles = build([package, tmp_path / "vmlinux", package], Progress(quiet=True))
    assert [k.build_id for k in profiles.kernels] == [OTHER_ID.hex(), writers.BUILD_ID.hex()]


def test_a_package_of_modules_is_searched_for_a_kernel_once(package, tmp_path, monkeypatch):
    modules = tmp_path / "linux-modules.deb"
    modules.write_bytes(writers.deb({"./usr/lib/modules/9.9.9-test/kernel/small.ko": b"no module"}))
    searched = []
    search = build_module.kernel_in
    monkeypatch.setattr(build_module, "kernel_in", lambda d, p: searched.append(p.name) or search(d, p))
    for _ in range(2):
        build([package, modules], Progress(quiet=True), Wanted(()))
    assert searched.count(modules.name) == 1
    with pytest.raises(UsageError):  # without modules wanted it is no use
        build([package, modules], Progress(quiet=True))


def test_kernel_without_relocations(tmp_path, capsys):
    """Twice: what the cache answers says so too."""
    (tmp_path / "vmlinux").write_bytes(writers.vmlinux(tail=b""))
    for _ in range(2):
        build([tmp_path / "vmlinux"], Progress(quiet=True))
        assert "vmlinux carries no relocations" in capsys.readouterr().err


def test_nothing():
    with pytest.raises(UsageError, match="no kernel was given"):
        build([], Progress(quiet=True))


def test_same_bytes_wherever_it_is_built(package, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tinyvmi_build.profile.build import build\n"
        "build([Path(sys.argv[1])]).save(Path('out'))\n"
    )
    outputs = []
    for name, seed in (("a", "1"), ("longer/b", "2")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        copy = folder / package.name
        copy.write_bytes(package.read_bytes())
        env = os.environ | {
            "PYTHONHASHSEED": seed,
            "TINYVMI_CACHE": str(folder / "cache"),
            "TZ": f"UTC{seed}",
        }
        subprocess.run(
            [sys.executable, "-c", code, copy], cwd=folder, env=env, check=True, capture_output=True
        )
        outputs.append((folder / "out").read_bytes())
    assert outputs[0] == outputs[1]
