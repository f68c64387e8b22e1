"""The module files of a kernel: those in its package, its folder, or a folder of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build import files
from tinyvmi_build.kernel.archive import Entry, is_package, package_entries
from tinyvmi_build.kernel.ko import plain_name
from tinyvmi_build.kernel.package import read_bytes

_KO = re.compile(r"([^/]+)\.ko(\.(xz|zst|gz))?$")
_IN_PACKAGE = re.compile(r"^(?:\./)?(?:usr/)?lib/modules/([^/]+)/.*\.ko(\.(xz|zst|gz))?$")
_RELEASE = re.compile(r"(?:^|/)lib/modules/([^/]+)/")


@dataclass(frozen=True)
class Wanted:
    """Which modules get tables: those whose name a pattern of `include` matches, and what they need.

    `extra` are more places of modules: .ko files, folders, packages.
    """

    include: tuple[str, ...]
    extra: tuple[Path, ...] = ()


def module_name(path: str) -> str | None:
    """The module's name by its file's, None for a file that is none."""
    match = _KO.search(path)
    return plain_name(match[1]) if match else None


def modules_in(path: Path, release: str | None = None) -> dict[str, bytes]:
    """Name → content (perhaps compressed) of the modules in `path`: a .ko, a folder, or a package.

    With `release`, of what lies under lib/modules only that kernel's.  UsageError if it cannot be read.
    """
    if path.is_dir():
        found: dict[str, bytes] = {}
        for file in module_files(path.resolve()):
            if file.suffix == ".deb":
                found |= package_modules(read_bytes(file), file.name, release)
            elif (name := module_name(file.name)) and _fits(file.as_posix(), release):
                found[name] = files.read_file(file, files.MODULE)
        return found
    name = module_name(path.name)
    if name:
        return {name: read_module_source(path)}
    data = read_module_source(path)
    return package_modules(data, path.name, release) if is_package(data) else {}


def read_module_source(path: Path) -> bytes:
    """The content of the file `path` as `modules_in` reads it."""
    return files.read_file(path, files.MODULE) if module_name(path.name) else read_bytes(path)


def module_files(folder: Path) -> list[Path]:
    """The files in `folder` that `modules_in` reads: modules at any depth, then packages at its top."""
    modules = [p for p in sorted(folder.rglob("*.ko*")) if module_name(p.name) and p.is_file()]
    return modules + [p for p in sorted(folder.glob("*.deb")) if p.is_file()]


def package_modules(data: bytes, where: str, release: str | None = None) -> dict[str, bytes]:
    """Name → content of the modules in the Debian package `data`."""
    found = {}
    for entry, read in package_entries(data, where):
        name = module_of(entry)
        if name is not None and _fits(entry.name, release):
            found[name] = read()
    return found


def _fits(path: str, release: str | None) -> bool:
    match = _RELEASE.search(path)
    return release is None or match is None or match[1] == release


def module_of(entry: Entry) -> str | None:
    """The module's name if a package's entry is one."""
    if not entry.regular or not _IN_PACKAGE.match(entry.name) or entry.size > files.MODULE.bytes_max:
        return None
    return module_name(entry.name)
