"""Symbolic links in an unpacked root file system, made to stay within it.

Packages have links such as `/etc/python3.11/sitecustomize.py`.  In a folder of this machine such a
link leads out: a file of the host would be read, copied into dom0, or missed.
"""

from __future__ import annotations

import os
from pathlib import Path


def confine(root: Path) -> None:
    """Make every link below `root` relative, and one that leads to where it would lead if `root` were /."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            if path.is_symlink():
                _confine(path, root)


def _confine(link: Path, root: Path) -> None:
    old = os.readlink(link)
    own = link.parent.relative_to(root).parts
    parts: list[str] = [] if old.startswith("/") else list(own)
    escapes = old.startswith("/")
    for part in old.split("/"):
        if part == "..":
            escapes = escapes or not parts  # above / is /
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if escapes:
        link.unlink()
        link.symlink_to(os.path.relpath(Path("/", *parts), Path("/", *own)))
