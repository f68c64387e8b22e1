"""Where C is compiled: folders in the cache, one for a toolchain and its kernels.

Golden values are most of what is compiled, and all monitors of a kernel share them, so a second monitor
finds them compiled.  A workshop holds copies of what goes in, written only where the content differs: for
ninja, which compares times, what has changed is then newer than what was made of it, and nothing else is.
All that ninja cannot see a change of (the compiler, the headers of Debian's packages, whose times are those
of the packages) is in the workshop's name.
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
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.paths import cache_dir, data_dir
from tinyvmi_build.render.tree import write

KEPT = 16  # workshops; one of a cloud kernel takes some 30 MB
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


@contextmanager
def workshop(purpose: dict[str, object]) -> Iterator[Path]:
    """A workshop for `purpose` (JSON: what is compiled, and how), this process' own meanwhile.

    In `minios_app` and `toolchain` there are this installation's.  Where the cache cannot be written it is an
    empty folder that goes away afterwards.
    """
    name = hashlib.sha256(json.dumps([purpose, _surroundings()], sort_keys=True).encode()).hexdigest()[:32]
    try:
        folder = cache_dir("compile")
        lock = (folder / f"{name}.lock").open("a")
    except (OSError, MissingEnvironmentError):
        with tempfile.TemporaryDirectory(prefix="tinyvmi-compile.") as scratch:
            yield _furnished(Path(scratch))
            return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        room = folder / name
        room.mkdir(exist_ok=True)
        os.utime(room)
        yield _furnished(room)
    _forget(folder)


def copy(files: Iterable[Path], source: Path, target: Path) -> None:
    """Make `target` hold the `files` of `source` and no others; what is the same is not touched."""
    wanted = {path.relative_to(source) for path in files}
    for name in wanted:
        write(target / name, (source / name).read_bytes())
    for path in sorted(target.rglob("*")):
        if path.is_file() and path.relative_to(target) not in wanted:
            path.unlink()


def _furnished(room: Path) -> Path:
    for name in SOURCES:
        source = data_dir(name)
        files = (p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        copy(files, source, room / name)
    return room


def _forget(folder: Path) -> None:
    """Remove what has not been used for longest, unless somebody is at work there."""
    rooms = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for room in rooms[KEPT:]:
        with (folder / f"{room.name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(room, ignore_errors=True)


def _surroundings() -> dict[str, object]:
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
