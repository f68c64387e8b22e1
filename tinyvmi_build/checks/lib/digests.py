"""Digests of pages.  A profile has them of every algorithm, since one profile serves many configurations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _blake3(data: bytes) -> bytes:
    from blake3 import blake3  # here: a dom0, which names functions with modules beside this one, lacks it

    return blake3(data).digest()


#: Name in the configuration → function from bytes to 32 bytes.
ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {"sha256": _sha256, "blake3": _blake3}
SIZE = 32
