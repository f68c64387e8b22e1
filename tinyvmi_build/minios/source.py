"""Which Mini-OS a configuration names: the built-in base, a folder, or a pinned commit."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.config.kinds import BUILT_IN, GitTree
from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.files import MAKEFILE, read_file
from tinyvmi_build.minios import git

NAME = "mini-os"  # what note, manifest and hello call any tree of the Xen Project's
# What a build leaves in a tree that is no git work tree; none of it is source.
_PRODUCTS = (".o", ".a", ".d")
_PRODUCT_NAMES = {
    "mini-os",
    "mini-os.gz",
    "mini-os-debug",
    "mini-os-debug.gz",
    "minios-config.mk",
}  # a link, too
# What a build sets or relies on, where it has to be (docs/guide/minios-tree.md).
_VARIABLES = {
    "Makefile": ("APP_OBJS", "CONFIG_FILE", "GLOBAL_PREFIX"),
    "Config.mk": ("MINIOS_CONFIG", "MINIOS_ROOT"),
}
_LARGEST = 64 << 20  # bytes of a tree; the real one has two million


@dataclass(frozen=True)
class Source:
    """A tree of the Xen Project's Mini-OS.  `rev`: its commit, or "sha256:" and a digest of its files."""

    rev: str
    repository: Path | None  # of the commit
    folder: Path | None  # if there is no commit

    def copy_to(self, folder: Path) -> None:
        """Write the tree's files into `folder`, which must not exist."""
        if self.repository is not None:
            git.extract(self.repository, self.rev, folder)
        else:
            assert self.folder is not None
            _copy(self.folder, folder)
        _require_minios(folder, self.rev)


def source(tree: str | Path | GitTree) -> Source | None:
    """The tree that `minios.tree` names; None for the built-in base.

    UsageError: no such folder, no Mini-OS, changes that are not committed.
    MissingEnvironmentError: a pinned commit that was not fetched; no git.
    """
    if isinstance(tree, GitTree):
        repository = git.pinned(tree.rev)
        if repository is None:
            raise MissingEnvironmentError(
                f"minios.tree: commit {tree.rev} has not been fetched", hint="tinyvmi-build minios fetch"
            )
        return Source(tree.rev, repository, None)
    if isinstance(tree, str):
        assert tree == BUILT_IN
        return None
    if not tree.is_dir():
        raise UsageError(
            f"minios.tree: {tree}: no such folder",
            hint='"built-in", a folder, or { git = "URL", rev = "COMMIT" }',
        )
    _require_minios(tree, str(tree))
    if (tree / ".git").exists():
        return Source(git.clean_head(tree), tree, None)
    return Source(f"sha256:{_digest(tree)}", None, tree)


def _require_minios(folder: Path, what: str) -> None:
    """Whether this is a Mini-OS that can be built by itself: those that were part of Xen's tree cannot."""
    missing = [
        n for n in ("Makefile", "Config.mk", "minios.mk", "include", "arch/x86") if not (folder / n).exists()
    ]
    if not missing:
        text = {name: read_file(folder / name, MAKEFILE).decode(errors="replace") for name in _VARIABLES}
        missing = [
            f"{v} in {name}" for name, names in _VARIABLES.items() for v in names if v not in text[name]
        ]
    if missing:
        raise UsageError(
            f"minios.tree: {what}: not a tree of Mini-OS: it lacks {', '.join(missing)}",
            hint="the Xen Project's tree since August 2016: https://xenbits.xen.org/git-http/mini-os.git",
        )


def _files(folder: Path) -> Iterator[tuple[Path, str, bytes | str]]:
    """(path below, "file" and content or "link" and where to) of all that is source, in a fixed order."""
    total = 0
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links and not name.startswith("."))
        for name in sorted(names + links):
            path = here / name
            if name.startswith(".") or path.suffix in _PRODUCTS or name in _PRODUCT_NAMES:
                continue
            if path.is_symlink():
                yield path.relative_to(folder), "link", _inner_link(folder, path)
            elif path.is_file():
                total += path.stat().st_size
                if total > _LARGEST:
                    raise UsageError(
                        f"minios.tree: {folder}: more than {_LARGEST >> 20} MiB: not a tree of Mini-OS",
                        hint="name the folder of the tree itself",
                    )
                yield path.relative_to(folder), "file", path.read_bytes()


def _inner_link(folder: Path, path: Path) -> str:
    where = os.readlink(path)
    if not path.resolve().is_relative_to(folder.resolve()) or os.path.isabs(where):
        raise UsageError(f"minios.tree: {path}: a link that leads out of the tree")
    return where


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path, kind, content in _files(folder):
        data = content.encode() if isinstance(content, str) else content
        total.update(f"{kind} {path.as_posix()}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def _copy(tree: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for path, _, content in _files(tree):
        new = folder / path
        new.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            new.symlink_to(content)
        else:
            new.write_bytes(content)
            shutil.copymode(tree / path, new)
