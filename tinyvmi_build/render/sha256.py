"""The constants of SHA-256, computed as FIPS 180-4 defines them."""

from __future__ import annotations

from math import isqrt
from typing import Any


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
    root: int = round(n ** (1 / 3))
    while root**3 > n:
        root -= 1
    while (root + 1) ** 3 <= n:
        root += 1
    return root


def context() -> dict[str, Any]:
    """Values of `templates/c/sha256*.c.j2`."""
    names = "abcdefgh"
    return {
        # The first 32 bits behind the point: floor(root * 2^32) mod 2^32.
        "k": [_cube_root(p << 96) & 0xFFFFFFFF for p in _primes(64)],
        "h0": [isqrt(p << 64) & 0xFFFFFFFF for p in _primes(8)],
        # After each round the eight variables move on by one.
        "rotations": [[names[(i - step) % 8] for i in range(8)] for step in range(8)],
    }
