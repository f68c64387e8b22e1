"""The constants of SHA-256, computed as FIPS 180-4 defines them, and the vectors of its self-test."""

from __future__ import annotations

import hashlib
from math import isqrt
from typing import Any

#: FIPS 180-2 B.1 and B.2, the empty message, and one that ends on a block's border.
MESSAGES = ("", "abc", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "0123456789abcdef" * 8)


def _primes(n: int) -> list[int]:
    primes: list[int] = []
    candidate = 2
    while len(primes) < n:
        if all(candidate % p for p in primes):
            primes.append(candidate)
        candidate += 1
    return primes


def _cube_root(n: int) -> int:
    """The largest integer whose cube is at most `n`."""
    root = round(n ** (1 / 3))
    while root**3 > n:
        root -= 1
    while (root + 1) ** 3 <= n:
        root += 1
    return root


def context() -> dict[str, Any]:
    """Values of `templates/c/sha256.c.j2`."""
    names = "abcdefgh"
    return {
        # The first 32 bits behind the point: floor(root * 2^32) mod 2^32.
        "k": [_cube_root(p << 96) & 0xFFFFFFFF for p in _primes(64)],
        "h0": [isqrt(p << 64) & 0xFFFFFFFF for p in _primes(8)],
        # After each round the eight variables move on by one.
        "rotations": [[names[(i - step) % 8] for i in range(8)] for step in range(8)],
        "vectors": [{"message": m, "digest": hashlib.sha256(m.encode()).digest()} for m in MESSAGES],
    }
