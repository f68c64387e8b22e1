"""Projects to build, from a copy of the sources that nobody edits meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tinyvmi_build import paths
from tinyvmi_build.config.load import Loaded, load
from tinyvmi_build.image.build import BuildResult, build_monitor
from tinyvmi_build.image.meson import compiled_in
from tinyvmi_build.progress import Progress

ROOT = Path(__file__).parents[2]


def directory_of(built: BuildResult) -> Path:
    """The build directory where it was compiled."""
    return compiled_in(built.folder / "meson")


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory):
    """A copy of what a wheel is made from; builds in these tests use it."""
    copy = tmp_path_factory.mktemp("source") / "tinyvmi"
    copy.mkdir()
    for name in ("tinyvmi_build", "templates", "minios_app", "toolchain", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_PACKAGE", copy / "tinyvmi_build")
        yield copy


@pytest.fixture(scope="session")
def project(source_tree, tmp_path_factory, cloud_kernel) -> Callable[..., Loaded]:
    """`project("name")`: a loaded configuration for the cloud kernel in a new folder of that name."""

    def make(name: str, text: str = "") -> Loaded:
        folder: Path = tmp_path_factory.mktemp("projects") / name
        folder.mkdir(parents=True)
        (folder / "tinyvmi.toml").write_text(f'[kernel]\npackages = ["{cloud_kernel}"]\n{text}')
        return load(folder, env={})

    return make


@pytest.fixture(scope="session")
def built(project) -> BuildResult:
    """A finished build that no test changes."""
    return build_monitor(project("p"), Progress(quiet=True))


@pytest.fixture(scope="session")
def built_before(project) -> Loaded:
    """A project that has been built once, to be built again with changes."""
    loaded = project("built-before")
    build_monitor(loaded, Progress(quiet=True))
    return loaded
