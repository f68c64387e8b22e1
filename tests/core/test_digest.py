"""The choice of a digest's variant, and that a broken one ends the run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core import digests

ALL = sum(digests.UNITS.values())


def units_here() -> int:
    return sum(bit for variant, bit in digests.UNITS.items() if not digests.missing(variant))


def start(library: ctypes.CDLL, units: int, steps: list[int] | None = None) -> tuple[bool, str]:
    """Whether digests can be trusted, and which variant is used."""
    ctypes.c_uint32.in_dll(library, "units").value = units & units_here()
    clock = (ctypes.c_uint64 * 64).in_dll(library, "steps")
    clock[:] = (
        (steps or [0]) * 64 if len(steps or [0]) == 1 else (steps or []) + [0] * (64 - len(steps or []))
    )
    digest = ctypes.c_void_p()  # struct tv_digest
    good = library.tv_digest_init(ctypes.byref(digest), ctypes.create_string_buffer(4097))
    return good, library.tv_digest_name(ctypes.byref(digest)).decode()


@pytest.mark.parametrize("algorithm", digests.VARIANTS)
def test_only_what_the_platform_allows_is_used(
    digest_library: Callable[[str], ctypes.CDLL], algorithm: str
) -> None:
    library = digest_library(algorithm)
    assert start(library, 0) == (True, f"{algorithm}/portable")
    for variant in digests.VARIANTS[algorithm][1:]:
        good, name = start(library, digests.UNITS[variant])
        assert good
        assert name in (
            f"{algorithm}/portable",
            f"{algorithm}/{variant.replace('sse41', 'sse4.1').replace('_', '-')}",
        )


@pytest.mark.skipif(bool(digests.missing("avx2")), reason="this processor has no AVX2")
def test_the_fastest_is_used(tmp_path: Path) -> None:
    """The clock is read twice a try, five tries a variant."""
    tries = 5
    for number, expected in enumerate(("portable", "sse4.1", "avx2")):
        folder = tmp_path / expected
        folder.mkdir()
        library = digests.compiled(folder, digests.sources("blake3"))
        steps = [1, 100] * tries * 3
        steps[2 * tries * number + 5] = 50  # one try of it that nothing has interrupted
        assert start(library, ALL, steps) == (True, f"blake3/{expected}")


FAULTS = [
    ("sha256", "sha256.c", "ror(e, 11)", "ror(e, 12)"),
    ("sha256", "sha256.c", "0x428a2f98u", "0x428a2f99u"),
    ("sha256", "sha256.c", "rest < 56", "rest < 57"),
    ("sha256", "sha256_sha_ni.c", "0x428a2f98u", "0x428a2f99u"),
    ("sha256", "sha256_sha_ni.c", "abef += abef0", "abef -= abef0"),
    ("blake3", "blake3.c", "ror(x, 12)", "ror(x, 11)"),
    ("blake3", "blake3.c", "counter++", "0 * counter++"),
    ("blake3", "blake3.c", "depth ? 0 : ROOT", "0"),
    ("blake3", "blake3.c", "n > BLOCK", "n >= BLOCK"),
    ("blake3", "blake3.c", "n > CHUNK", "n >= CHUNK"),
    ("blake3", "blake3_sse41.c", "{ 0, 1, 2, 3 }", "{ 0, 1, 2, 2 }"),
    ("blake3", "blake3_sse41.c", "parents(h, ROOT)", "parents(h, 0)"),
    ("blake3", "blake3_avx2.c", "parents(h, ROOT)", "parents(h, 0)"),
    ("blake3", "blake3_avx2.c", "{ 0, 1, 2, 3, 0, 1, 2, 3 }", "{ 0, 1, 2, 3, 0, 1, 2, 2 }"),
]


@pytest.mark.parametrize(("algorithm", "file", "good", "bad"), FAULTS)
def test_a_fault_is_noticed(tmp_path: Path, algorithm: str, file: str, good: str, bad: str) -> None:
    variant = file.removesuffix(".c").removeprefix(algorithm).lstrip("_") or "portable"
    if lacks := digests.missing(variant):
        pytest.skip(f"this processor has no {lacks}")
    files = digests.sources(algorithm)
    assert good in files[file]
    files[file] = files[file].replace(good, bad, 1)
    assert not start(digests.compiled(tmp_path, files), ALL)[0]


def test_without_vectors_there_is_one_variant(tmp_path: Path) -> None:
    files = digests.sources("blake3", vectors=False)
    assert sorted(name for name in files if name.endswith(".c")) == [
        "blake3.c",
        "blake3_variants.c",
        "digest.c",
    ]
    assert start(digests.compiled(tmp_path, files), ALL) == (True, "blake3/portable")


def test_meson_compiles_these_files_by_these_flags() -> None:
    text = (digests.data_dir("minios_app") / "meson.build").read_text()
    for end, flags in digests.VECTOR_FLAGS.items():
        assert f"'{end}.c': [{', '.join(map(repr, flags))}]," in text
