"""Where the tool finds its own files and keeps its caches.

The wheel carries `templates/`, `minios_app/` and `toolchain/` under
`tinyvmi_build/_data/`; in a source checkout they stand beside the package.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
CACHE_TAG = "CACHEDIR.TAG"
_TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This is a cache of tinyvmi-build; `tinyvmi-build clean --cache` removes it.\n"
)


def data_dir(name: str) -> Path:
    """Folder `name` (`templates`, `minios_app`, `toolchain`) of this installation."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"the installation of tinyvmi-build lacks its {name}/ folder")


def cache_root() -> Path:
    """`$TINYVMI_CACHE`, else `$XDG_CACHE_HOME/tinyvmi`, else `~/.cache/tinyvmi`; it may not exist."""
    base = os.environ.get("TINYVMI_CACHE")
    if base:
        return Path(base)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyvmi"


def cache_dir(*parts: str) -> Path:
    """A folder in the cache, created.

    A cache that is made here gets a tag (https://bford.info/cachedir/); only a folder with it is removed.
    """
    root = cache_root()
    if not root.exists():
        root.mkdir(parents=True, exist_ok=True)
        (root / CACHE_TAG).write_text(_TAG_TEXT)
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def is_own_cache(root: Path) -> bool:
    """Whether `root` bears the tag that `cache_dir` writes."""
    tag = root / CACHE_TAG
    return tag.is_file() and tag.read_bytes() == _TAG_TEXT.encode()
