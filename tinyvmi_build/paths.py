"""Where the tool finds its own files and keeps its caches.

The wheel carries `templates/`, `minios_app/` and `toolchain/` under
`tinyvmi_build/_data/`; in a source checkout they stand beside the package.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Folder `name` (`templates`, `minios_app`, `toolchain`) of this installation."""
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"the installation of tinyvmi-build lacks its {name}/ folder")


def cache_dir(*parts: str) -> Path:
    """A cache folder, created: `$TINYVMI_CACHE`, else `$XDG_CACHE_HOME/tinyvmi`, else `~/.cache/tinyvmi`."""
    base = os.environ.get("TINYVMI_CACHE")
    if base:
        root = Path(base)
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyvmi"
    path = root.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path
