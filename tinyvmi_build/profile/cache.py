"""The cache of profiles and of modules' tables: found by content, never by where a file lies."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import tinyvmi_build
from tinyvmi_build.errors import UsageError
from tinyvmi_build.files import write_file
from tinyvmi_build.kernel.modules import module_files, read_module_source
from tinyvmi_build.paths import cache_dir, cache_errors
from tinyvmi_build.profile.profile import KernelProfile, ProfileFile

_TOOL_PARTS = ("kernel", "profile", "checks", "elf")  # what a profile's content depends on


def kernel_key(data: bytes) -> str:
    """Of the profile of the kernel in `data`, whatever its file is called."""
    return hashlib.sha256(tool_hash() + hashlib.sha256(data).digest()).hexdigest()


def key_with_modules(kernel: str, include: Iterable[str], sources: Iterable[Path]) -> str:
    """Of the profile of the kernel with the key `kernel` and modules from `sources`.

    Files count by their content, those of a folder by what changes with it: there may be thousands.
    """
    digest = hashlib.sha256(kernel.encode())
    for pattern in include:
        digest.update(b"include\0" + pattern.encode() + b"\0")
    for source in sources:
        digest.update(b"source\0")
        if not source.is_dir():
            name = "" if source.suffix == ".deb" else source.name  # a module is known by its file's name
            digest.update(name.encode() + b"\0" + hashlib.sha256(read_module_source(source)).digest())
            continue
        for file in module_files(source):
            state = file.stat()
            facts = (state.st_size, state.st_mtime_ns, state.st_dev, state.st_ino)
            digest.update(f"{file.relative_to(source)}\0{facts}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def load_profile(key: str, name: str) -> KernelProfile | None:
    """The profile in the cache, for a kernel whose file is called `name` now; None if there is none.

    A damaged one is not the user's trouble: it is built again.
    """
    path = _file(key)
    with contextlib.suppress(UsageError):
        if path.exists():
            return ProfileFile.load(path).kernels[0].named(name)
    return None


def save_profile(key: str, profile: KernelProfile) -> None:
    with cache_errors():
        ProfileFile([profile]).save(_file(key))


def module_tables(build_id: str, key: str, make: Callable[[], bytes]) -> bytes:
    """A module's tables, computed once for a kernel and the files that they depend on."""
    name = hashlib.sha256(tool_hash() + build_id.encode() + key.encode()).hexdigest()
    file = cache_dir("modules") / name
    with contextlib.suppress(OSError, zlib.error):
        return zlib.decompress(file.read_bytes())
    tables = make()
    with cache_errors():
        write_file(file, zlib.compress(tables, 1))
    return tables


def note_without_kernel(data: bytes) -> Path:
    """The file that says that the package `data` holds modules alone: that shows only at its end."""
    return cache_dir("without-kernel") / hashlib.sha256(data).hexdigest()


def _file(key: str) -> Path:
    return cache_dir("profiles") / f"{key}.profile"


@cache
def tool_hash() -> bytes:
    """Of the sources that decide what a profile says, so that no old cache outlives a change of them."""
    root = Path(tinyvmi_build.__file__).parent
    digest = hashlib.sha256()
    for part in _TOOL_PARTS:
        for source in sorted((root / part).rglob("*.py")):
            digest.update(os.fsencode(source.relative_to(root)) + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()
