"""Each variant of BLAKE3 against another implementation, at its official vectors' sizes."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from tests.core import digests

Digest = Callable[[bytes], bytes]
#: Sizes and bytes of test_vectors.json, which comes with the specification.
SIZES = [
    *(0, 1, 2, 3, 4, 5, 6, 7, 8, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073),
    *(4096, 4097, 5120, 5121, 6144, 6145, 7168, 7169, 8192, 8193, 16384, 31744, 102400),
]
MESSAGE = bytes(i % 251 for i in range(max(SIZES)))
PAGE = 4096


@pytest.fixture(scope="module", params=digests.VARIANTS["blake3"])
def digest(request: pytest.FixtureRequest, digest_library: Callable[[str], ctypes.CDLL]) -> Digest:
    if lacks := digests.missing(request.param):
        pytest.skip(f"this processor has no {lacks}")
    return digests.function(digest_library("blake3"), "blake3", request.param)


def test_published_digests(digest: Digest) -> None:
    """So that not all depends on the other implementation."""
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    assert (digest(b"").hex(), digest(b"abc").hex()) == (empty, abc)


def test_official_sizes(digest: Digest) -> None:
    for size in SIZES:
        assert digest(MESSAGE[:size]) == blake3(MESSAGE[:size]).digest(), size


def test_every_byte_of_a_page_counts(digest: Digest) -> None:
    page = bytearray(random.Random(1).randbytes(PAGE))
    for at in range(0, PAGE, 7):
        page[at] ^= 1 << at % 8
        assert digest(bytes(page)) == blake3(page).digest(), at


@pytest.mark.parametrize("variant", digests.VARIANTS["blake3"])
def test_several_pages_at_once(digest_library: Callable[[str], ctypes.CDLL], variant: str) -> None:
    if lacks := digests.missing(variant):
        pytest.skip(f"this processor has no {lacks}")
    for n in range(6):
        pages = [random.Random(n).randbytes(PAGE) for n in range(n)]
        expected = [blake3(page).digest() for page in pages]
        assert digests.of_pages(digest_library("blake3"), "blake3", variant, pages) == expected


@given(data=st.binary(max_size=300), size=st.sampled_from([0, 1000, 1024, 4000, PAGE]))
def test_equals_the_other_implementation(digest: Digest, data: bytes, size: int) -> None:
    message = (data + bytes(size))[: max(size, len(data))]
    assert digest(message) == blake3(message).digest()
