"""Where the tool finds its own files and keeps its caches.

The wheel carries `templates/`, `minios_app/`, `toolchain/` and `docs/` under
`tinyvmi_build/_data/`; in a source checkout they stand beside the package.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError, TinyVMIError

_PACKAGE = Path(__file__).resolve().parent
CACHE_TAG = "CACHEDIR.TAG"
_TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This is a cache of tinyvmi-build; `tinyvmi-build clean --cache` removes it.\n"
)


def data_dir(name: str) -> Path:
    """Folder `name` (`templates`, `minios_app`, `toolchain`, `docs`) of this installation."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise MissingEnvironmentError(
        f"the installation of tinyvmi-build lacks its {name}/ folder", hint="install the package again"
    )


def doc(name: str) -> str:
    """Where this installation has the page `name` of the documentation, e.g. "guide/minios-tree.md"."""
    return str(data_dir("docs") / name)


def cache_root() -> Path:
    """`$TINYVMI_CACHE`, else `$XDG_CACHE_HOME/tinyvmi`, else `~/.cache/tinyvmi`; it may not exist."""
    base = os.environ.get("TINYVMI_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "tinyvmi"


def home() -> Path:
    """The user's home folder; MissingEnvironmentError if none is known."""
    try:
        return Path.home()
    except RuntimeError:
        raise MissingEnvironmentError(
            "HOME is not set, and this user has no home folder",
            hint="set HOME, or TINYVMI_CACHE to a folder for the cache",
        ) from None


def cache_dir(*parts: str) -> Path:
    """A folder in the cache, created and writable; MissingEnvironmentError if it cannot be.

    A cache that is made here gets a tag (https://bford.info/cachedir/); only a folder with it is removed.
    """
    root = cache_root()
    path = root.joinpath(*parts)
    try:
        if not root.exists():
            root.mkdir(parents=True, exist_ok=True)
            (root / CACHE_TAG).write_text(_TAG_TEXT)
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = "a file stands in its place" if isinstance(error, FileExistsError) else error.strerror
        raise MissingEnvironmentError(
            f"the cache {path} cannot be used: {reason}",
            hint="set TINYVMI_CACHE to a folder that can be written",
        ) from None
    return path


@contextlib.contextmanager
def cache_errors() -> Iterator[None]:
    """Turn what goes wrong while the cache is written into an error that says so."""
    try:
        yield
    except (OSError, TinyVMIError) as error:
        reason = error.message if isinstance(error, TinyVMIError) else error.strerror
        raise MissingEnvironmentError(
            f"the cache {cache_root()} cannot be used: {reason}",
            hint="make room there, or set TINYVMI_CACHE to another folder",
        ) from None


def is_own_cache(root: Path) -> bool:
    """Whether `root` bears the tag that `cache_dir` writes."""
    tag = root / CACHE_TAG
    return tag.is_file() and tag.read_bytes() == _TAG_TEXT.encode()
