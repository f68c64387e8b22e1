"""The digest of an image: its algorithm, the variants of that, and the answers of its self-test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinyvmi_build.checks.lib.digests import ALGORITHMS
from tinyvmi_build.render import blake3, sha256

#: Of the self-test's message, as of BLAKE3's own test vectors: bytes count up to here and begin again.
_MODULUS = 251
#: Around the borders of SHA-256's padding, of BLAKE3's blocks, chunks and trees, and a page.
_SIZES = (0, 1, 55, 56, 64, 119, 120, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 4095, 4096)

#: The variant is chosen by the shortest of so many tries.
_TRIES = 5


@dataclass(frozen=True)
class Variant:
    """A second implementation of an algorithm, for processors that have `needs` (enum tv_vector_unit)."""

    name: str
    needs: str
    function: str
    template: str  # whose output's name tells meson the flags: `_sse41`, `_avx2`, `_sha_ni`


#: In the order in which they are tried: of two that are equally fast the later one is used.
VARIANTS = {
    "sha256": (Variant("sha256/sha-ni", "TV_UNIT_SHA", "tv_sha256_sha_ni", "sha256_sha_ni"),),
    "blake3": (
        Variant("blake3/sse4.1", "TV_UNIT_SSE41", "tv_blake3_sse41", "blake3_sse41"),
        Variant("blake3/avx2", "TV_UNIT_AVX2", "tv_blake3_avx2", "blake3_avx2"),
    ),
}
_CONTEXTS = {"sha256": sha256.context, "blake3": blake3.context}


def files(algorithm: str, vectors: bool) -> list[tuple[str, dict[str, Any]]]:
    """(template in templates/c/, its values) of each file; `vectors`: whether variants may be used at all."""
    variants = VARIANTS[algorithm] if vectors else ()
    own = _CONTEXTS[algorithm]()
    return [
        (algorithm, own),
        *((variant.template, own) for variant in variants),
        ("digest", _context(algorithm, variants)),
    ]


def _context(algorithm: str, variants: tuple[Variant, ...]) -> dict[str, Any]:
    message = bytes(i % _MODULUS for i in range(max(_SIZES)))
    digest = ALGORITHMS[algorithm]
    return {
        "algorithm": algorithm,
        "variants": variants,
        "modulus": _MODULUS,
        "tries": _TRIES,
        "known": [(size, digest(message[:size])) for size in _SIZES],
    }
