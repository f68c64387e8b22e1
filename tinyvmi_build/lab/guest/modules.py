"""A kernel package's modules by name, uncompressed, in the order in which they can be loaded."""

from __future__ import annotations

import gzip
import lzma
import re
from collections.abc import Sequence
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError

_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")
_SUFFIX = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def in_order(kernel: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Name → .ko of the modules `names` and what they depend on, each behind what it needs.

    `kernel` is an unpacked package.  Dashes and underscores are the same.  A name that ends in `?` is
    left out where the package has no such module: one kernel has built in what another loads.
    """
    files = {_plain(_SUFFIX.sub("", path.name)): path for path in kernel.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        name = _plain(name)
        if name in found:
            return
        if name not in files:
            raise MissingEnvironmentError(f"{kernel.name} has no module {name}")
        data = _unpacked(files[name])
        depends = _DEPENDS.search(data)
        for other in depends[1].decode().split(",") if depends and depends[1] else []:
            add(other)
        found[name] = data

    for name in names:
        if not name.endswith("?"):
            add(name)
        elif _plain(name[:-1]) in files:
            add(name[:-1])
    return found


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data
