"""The image's own description: the object in its TinyVMI note, and the image id made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tinyvmi_build import __version__
from tinyvmi_build.config.kinds import BUILT_IN
from tinyvmi_build.config.model import Config
from tinyvmi_build.minios.source import NAME, source
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.env import CHECKS

ABI = 1
NOTE_OWNER = "TinyVMI"
NOTE_TYPE = 1


def descriptor(config: Config, build_ids: Iterable[str], toolchain: Mapping[str, str]) -> dict[str, object]:
    """What an image of `config` for the kernels `build_ids` (hex) is made from, and with; no path, no time.

    `toolchain` names the programs that compile it and their versions (tinyvmi_build/image/toolchain.py).
    """
    base, base_rev = base_of(config)
    # The built-in base is a part of our own sources; a tree is one thing, our sources another.
    core = {} if base == BUILT_IN else {"core": _own_hash()}
    return {
        "abi": ABI,
        "version": __version__,
        "name": config.monitor.name,
        "config": config.digest(),
        "templates": tree_hash(data_dir("templates"), CHECKS),
        "base": base,
        "base_rev": base_rev,
        **core,
        "build_ids": list(build_ids),
        "checks": list(config.checks_made),
        "toolchain": dict(toolchain),
    }


def base_of(config: Config) -> tuple[str, str]:
    """(name, revision) of the Mini-OS underneath: a hash of our own sources, or a tree's commit or digest."""
    tree = source(config.minios.tree)
    return (BUILT_IN, _own_hash()) if tree is None else (NAME, tree.rev)


def _own_hash() -> str:
    return tree_hash(data_dir("minios_app"), data_dir("toolchain"))


def canonical(description: dict[str, object]) -> bytes:
    """The bytes in the note."""
    return json.dumps(description, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def image_id(description: dict[str, object]) -> str:
    """16 hex digits that name the image."""
    return hashlib.sha256(canonical(description)).hexdigest()[:16]


def tree_hash(*folders: Path) -> str:
    """SHA-256 (hex) over the names and contents of all files below `folders`."""
    total = hashlib.sha256()
    for folder in folders:
        names = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
        for name in sorted(names, key=lambda p: p.as_posix()):
            if any(part.startswith(".") or part == "__pycache__" for part in name.parts):
                continue
            data = (folder / name).read_bytes()
            total.update(f"{folder.name}/{name.as_posix()}\0{len(data)}\0".encode() + data)
    return total.hexdigest()
