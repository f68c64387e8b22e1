"""Git, for two things: the commit of a clean work tree, and a pinned commit in the cache.

An error shows what git prints.  Git asks no question, and runs no hook and no filter of the repository.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.paths import cache_dir, cache_root

_FETCHED = "minios"  # folder in the cache
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}


class _GitError(Exception):
    """What git printed when it failed."""


def clean_head(tree: Path) -> str:
    """The commit that is checked out in `tree`; UsageError if tracked files differ from it."""
    try:
        commit = _git(tree, "rev-parse", "--verify", "HEAD^{commit}").decode().strip()
        changed = (
            _git(tree, "status", "--porcelain", "--untracked-files=no").decode(errors="replace").splitlines()
        )
    except _GitError as error:
        raise MissingEnvironmentError(f"minios.tree: {tree}: git cannot read it: {error}") from error
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise UsageError(
            f"minios.tree: {tree}: {changed[0][3:]}{more} changed since commit {commit[:12]}",
            hint="commit the change: an image names the commit that it was made from",
        )
    return commit


def pinned(rev: str) -> Path | None:
    """The repository in the cache that holds commit `rev`, whole and unharmed; None if it was not fetched."""
    path = cache_root() / _FETCHED / f"{rev}.git"
    if not path.is_dir():
        return None
    _verify(path, rev)
    return path


def fetch(url: str, rev: str) -> Path:
    """Bring commit `rev` from `url` into the cache; its repository there.

    UsageError: there is no such commit.  MissingEnvironmentError: it cannot be reached, or arrived damaged.
    """
    there = pinned(rev)
    if there is not None:
        return there
    final = cache_dir(_FETCHED) / f"{rev}.git"
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="fetching-") as folder:
        new = Path(folder) / "repository"
        try:
            _git(Path(folder), "init", "--quiet", "--bare", str(new))
            try:
                _git(new, "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, rev)
            except _GitError:  # not every server gives out a commit that no branch ends in
                _git(new, "fetch", "--quiet", "--no-tags", "--", url, "+refs/*:refs/fetched/*")
        except _GitError as error:
            raise MissingEnvironmentError(f"minios.tree: {url} cannot be fetched: {error}") from error
        try:
            kind = _git(new, "cat-file", "-t", rev).decode().strip()
        except _GitError:
            kind = "nothing"
        if kind != "commit":
            raise UsageError(
                f"minios.tree: {url} has no commit {rev}",
                hint="a full commit id that a branch or a tag leads to",
            )
        _verify(new, rev)
        _git(new, "update-ref", "refs/pinned", rev)
        new.rename(final)
    return final


def extract(repository: Path, rev: str, folder: Path) -> None:
    """Write the files of commit `rev` into `folder`, which must not exist."""
    try:
        archive = _git(repository, "archive", "--format=tar", rev)
    except _GitError as error:
        raise MissingEnvironmentError(
            f"minios.tree: {repository}: commit {rev} cannot be read: {error}"
        ) from error
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            link = PurePosixPath(member.linkname) if member.issym() else path
            if (
                path.is_absolute()
                or ".." in path.parts
                or link.is_absolute()
                or len(link.parts) > 1
                and ".." in link.parts
            ):
                raise UsageError(f"minios.tree: commit {rev}: {member.name} leads out of the tree")
            new = folder / path
            new.parent.mkdir(parents=True, exist_ok=True)
            if member.isdir():
                new.mkdir(exist_ok=True)
            elif member.issym():
                new.symlink_to(member.linkname)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                new.write_bytes(content.read())
                new.chmod(0o755 if member.mode & 0o100 else 0o644)


def _verify(repository: Path, rev: str) -> None:
    """Every object that `rev` leads to has the hash that names it."""
    try:
        _git(repository, "fsck", "--no-progress", "--no-dangling", rev)
    except _GitError as error:
        raise MissingEnvironmentError(
            f"minios.tree: {repository}: commit {rev} is damaged: {error}",
            hint=f"remove {repository}, then tinyvmi-build minios fetch",
        ) from error


def _git(folder: Path, *arguments: str) -> bytes:
    program = shutil.which("git")
    if program is None:
        raise MissingEnvironmentError("minios.tree needs git", hint="apt-get install git")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _ENVIRONMENT
    command = [program, "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        errors = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
        raise _GitError(errors[0] if errors else f"exit status {done.returncode}")
    return done.stdout
