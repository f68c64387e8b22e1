"""Each variant of SHA-256 against NIST's vectors and hashlib."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterator

import cryptography_vectors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import digests

Digest = Callable[[bytes], bytes]


@pytest.fixture(scope="module", params=digests.VARIANTS["sha256"])
def digest(request: pytest.FixtureRequest, digest_library: Callable[[str], ctypes.CDLL]) -> Digest:
    if lacks := digests.missing(request.param):
        pytest.skip(f"this processor has no {lacks}")
    return digests.function(digest_library("sha256"), "sha256", request.param)


def nist(name: str) -> Iterator[tuple[bytes, str]]:
    """(message, digest) of an .rsp file of the SHA Validation System."""
    with cryptography_vectors.open_vector_file(f"hashes/SHA2/{name}", "r") as file:
        fields: dict[str, str] = {}
        for line in file:
            key, _, value = line.strip().partition(" = ")
            fields[key] = value
            if key == "MD":
                yield bytes.fromhex(fields["Msg"])[: int(fields["Len"]) // 8], value


@pytest.mark.parametrize("name", ["SHA256ShortMsg.rsp", "SHA256LongMsg.rsp"])
def test_nist_vectors(digest: Digest, name: str) -> None:
    vectors = list(nist(name))
    assert len(vectors) >= 64
    for message, expected in vectors:
        assert digest(message).hex() == expected


def test_nist_monte_carlo(digest: Digest) -> None:
    """SHAVS 6.4: each of 100 checkpoints is 1,000 digests of the last three together."""
    with cryptography_vectors.open_vector_file("hashes/SHA2/SHA256Monte.rsp", "r") as file:
        lines = [line.strip() for line in file]
    seed = bytes.fromhex(next(line for line in lines if line.startswith("Seed"))[7:])
    expected = [line[5:] for line in lines if line.startswith("MD = ")]
    assert len(expected) == 100
    for checkpoint in expected[:10]:
        last = [seed] * 3
        for _ in range(1000):
            last = [*last[1:], digest(b"".join(last))]
        seed = last[2]
        assert seed.hex() == checkpoint


@pytest.mark.parametrize("variant", digests.VARIANTS["sha256"])
def test_several_pages_at_once(digest_library: Callable[[str], ctypes.CDLL], variant: str) -> None:
    if lacks := digests.missing(variant):
        pytest.skip(f"this processor has no {lacks}")
    pages = [bytes([n]) * 4096 for n in range(3)]
    expected = [hashlib.sha256(page).digest() for page in pages]
    assert digests.of_pages(digest_library("sha256"), "sha256", variant, pages) == expected


@given(data=st.binary(max_size=300))
def test_equals_hashlib(digest: Digest, data: bytes) -> None:
    assert digest(data) == hashlib.sha256(data).digest()
