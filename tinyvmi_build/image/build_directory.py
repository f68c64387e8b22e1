"""Build directories: where C is compiled, in the cache, one for a toolchain and its kernels.

Golden values are most of what is compiled, and all monitors of a kernel share them, so a second monitor
finds them compiled.  A build directory holds copies of its inputs, written only where the content differs:
ninja compares times, and only an input that has changed is then newer than what was made of it.
Ninja cannot see a change of the compiler, nor of the headers of Debian's packages, whose times are those of
the packages.  So these decide the directory's name.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.paths import cache_dir, data_dir
from tinyvmi_build.render.tree import write

DIRECTORIES_MAX = 16  # one of a cloud kernel takes some 30 MB
SOURCES = ("minios_app", "toolchain")
_PROGRAMS = ("gcc", "as", "ld", "ar", "objcopy")
_LIBRARIES = ("meson", "ninja", "pyelftools")
# A package's files all change with it: one of each stands for those of Xen and of the C library.
_HEADERS = tuple(
    Path("/usr/include") / name
    for name in (
        "xen/xen.h",
        "xenforeignmemory.h",
        "stdio.h",
        "linux/types.h",
        "x86_64-linux-gnu/bits/types.h",
    )
)


@dataclass(frozen=True)
class Purpose:
    """What a build directory is for.  `tree`: flags and revision of a Mini-OS tree, None for the built-in."""

    kernels: tuple[str, ...]  # build-ids
    cross: bool
    tree: tuple[str, ...] | None = None


@dataclass(frozen=True)
class BuildDirectory:
    """A build directory, and what lies in it."""

    path: Path

    @property
    def generated(self) -> Path:
        """The rendered files."""
        return self.path / "generated"

    @property
    def meson(self) -> Path:
        """What meson and ninja make."""
        return self.path / "meson"

    def source(self, name: str) -> Path:
        """The copy of `name`, one of SOURCES."""
        return self.path / name


@contextmanager
def build_directory(purpose: Purpose) -> Iterator[BuildDirectory]:
    """The build directory for `purpose`, locked, with copies of this installation's sources.

    Where the cache cannot be written it is an empty folder that is removed afterwards.
    """
    key = json.dumps([asdict(purpose), _environment()], sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    try:
        folder = cache_dir("compile")
        lock = (folder / f"{name}.lock").open("a")
    except (OSError, MissingEnvironmentError):
        with tempfile.TemporaryDirectory(prefix="tinyvmi-compile.") as scratch:
            yield _with_sources(Path(scratch))
            return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder / name
        path.mkdir(exist_ok=True)
        os.utime(path)
        yield _with_sources(path)
    _remove_oldest(folder)


def copy(files: Iterable[Path], source: Path, target: Path) -> None:
    """Make `target` hold the `files` of `source` and no others; what is the same is not touched."""
    wanted = {path.relative_to(source) for path in files}
    for name in wanted:
        write(target / name, (source / name).read_bytes())
    for path in sorted(target.rglob("*")):
        if path.is_file() and path.relative_to(target) not in wanted:
            path.unlink()


def _with_sources(path: Path) -> BuildDirectory:
    directory = BuildDirectory(path)
    for name in SOURCES:
        source = data_dir(name)
        files = (p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        copy(files, source, directory.source(name))
    return directory


def _remove_oldest(folder: Path) -> None:
    """Remove those that were not used for longest, unless another process works there."""
    found = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in found[DIRECTORIES_MAX:]:
        with (folder / f"{path.name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(path, ignore_errors=True)


def _environment() -> dict[str, object]:
    """What decides about objects and is no file of ours: JSON."""
    return {
        "tool": [str(data_dir(name)) for name in SOURCES],
        "python": sys.executable,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "programs": {name: _identity(shutil.which(name)) for name in _PROGRAMS},
        "compiler": subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False).stdout,
        "headers": {str(path): _identity(path) for path in _HEADERS},
    }


def _identity(path: Path | str | None) -> list[object]:
    """What differs when a file was replaced, even by one with an older time."""
    if path is None or not os.path.exists(path):
        return []
    status = os.stat(path)
    return [os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
