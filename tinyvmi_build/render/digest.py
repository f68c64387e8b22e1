"""The files of minios_app/digest/ that an image has: its algorithm and the variants that may be used."""

from __future__ import annotations

#: Variants of each algorithm for processors with vector units: what their files' names end in.
VECTOR_VARIANTS = {"sha256": ("sha_ni",), "blake3": ("sse41", "avx2")}


def digest_sources(algorithm: str, vectors: bool) -> list[str]:
    """Paths below minios_app/; `vectors`: whether vector registers may be used at all."""
    variants = VECTOR_VARIANTS[algorithm] if vectors else ()
    names = [
        "digest",
        algorithm,
        f"{algorithm}_variants",
        *(f"{algorithm}_{variant}" for variant in variants),
    ]
    return [f"digest/{name}.c" for name in names]
