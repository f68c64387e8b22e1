"""The shared libraries that ELF files need, found in an unpacked tree (as ldd does, but nothing is run)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tinyvmi_build.elf.reader import MAGIC, Elf, elf_errors
from tinyvmi_build.errors import MissingEnvironmentError

_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64")


def closure(root: Path, binaries: Iterable[Path], also: Iterable[str] = ()) -> dict[str, Path]:
    """Soname → file of everything that `binaries` need, directly or not, and of the sonames `also`.

    `also` is for what is opened at run time: glibc loads libgcc_s.so.1 for pthread_cancel.
    """
    found: dict[str, Path] = {}
    todo = [(name, "the list") for path in binaries for name in _needed(path)]
    todo += [(name, "the list") for name in also]
    while todo:
        name, by = todo.pop()
        if name in found:
            continue
        path = next((root / f / name for f in _FOLDERS if (root / f / name).exists()), None)
        if path is None:
            raise MissingEnvironmentError(f"no fetched package holds the library {name} (needed by {by})")
        found[name] = path.resolve()
        todo += [(more, name) for more in _needed(path)]
    return found


def _needed(path: Path) -> list[str]:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return []
    with elf_errors(str(path), "program or library"):
        return Elf(path.read_bytes()).needed()
