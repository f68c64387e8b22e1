"""The compiled checker for a configuration and its kernels, in the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tinyvmi_build
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.image.build import CHECKER_TARGET, DOM0_TARGET, build_host_checker
from tinyvmi_build.paths import cache_dir, data_dir
from tinyvmi_build.profile.profile import ProfileFile
from tinyvmi_build.progress import Progress

_CORE = ("include", "introspect", "checks", "monitor", "platform/host")  # of minios_app: what is compiled
_DOM0 = (*_CORE, "platform/dom0", "platform/xen")
_TOOL = ("checks", "render", "image")  # of this package: what decides what is compiled, and how


def checker(loaded: Loaded, profiles: ProfileFile, progress: Progress) -> Path:
    """The program that checks images of `profiles`' kernels by `loaded`; compiled when it is first needed."""
    return _cached(CHECKER_TARGET, key(loaded, profiles), loaded, profiles, progress)


def dom0_checker(loaded: Loaded, profiles: ProfileFile, progress: Progress) -> Path:
    """The program that checks running guests from dom0, likewise."""
    return _cached(DOM0_TARGET, "dom0-" + key(loaded, profiles, _DOM0), loaded, profiles, progress)


def _cached(target: str, name: str, loaded: Loaded, profiles: ProfileFile, progress: Progress) -> Path:
    folder = cache_dir("checkers")
    program = folder / name
    if not program.exists():
        # Beside its place, and moved there whole: another run may want it at the same time.
        with tempfile.TemporaryDirectory(prefix="build.", dir=folder) as scratch:
            built = build_host_checker(loaded, progress, Path(scratch), profiles, target)
            partial = Path(scratch) / "program"
            shutil.copy2(built, partial)
            os.replace(partial, program)
    return program


def key(loaded: Loaded, profiles: ProfileFile, folders: tuple[str, ...] = _CORE) -> str:
    """64 hex digits that change with whatever decides what that program says."""
    digest = hashlib.sha256(loaded.config.digest().encode())
    for kernel in profiles.kernels:
        for name, section in sorted(kernel.packed.items()):
            digest.update(f"{kernel.build_id} {name} {section.size}\n".encode())
            digest.update(section.data)
    for name, source in _sources(folders):
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(folders: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """What is compiled and what decides it: name, the same wherever the tool lies, and file."""
    app, tool = data_dir("minios_app"), Path(tinyvmi_build.__file__).parent
    yield "meson.build", app / "meson.build"
    for root in (
        data_dir("templates"),
        *(app / folder_name for folder_name in folders),
        *(tool / part for part in _TOOL),
    ):
        for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            yield f"{root.name}/{path.relative_to(root)}", path
