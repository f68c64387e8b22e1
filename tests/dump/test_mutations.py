"""A small mutation campaign, and that it can fail."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.dump.test_text_changes import Target
from tests.experiments.mutations.campaign import (
    Change,
    Tally,
    _check_batch,
    batches,
    random_changes,
    try_bytes,
)
from tests.experiments.mutations.subject import target


@pytest.fixture(scope="module")
def cloud() -> Iterator[Target]:
    with target("linux-image-cloud-amd64", "bookworm", "plain") as one:
        yield one


def test_random_bytes_of_all_ranges(cloud: Target) -> None:
    tally = Tally()
    try_bytes(cloud, 1500, random.Random(7), tally)
    assert tally.missed == []
    assert tally.tried == tally.caught
    assert min(tally.tried[f"{check}: any byte"] for check in ("rodata", "text", "modules")) > 100
    assert tally.tried.total() == 1500


def test_a_seed_names_a_campaign(cloud: Target) -> None:
    one, two = (random_changes(cloud, 50, random.Random(seed)) for seed in (1, 2))
    assert one == random_changes(cloud, 50, random.Random(1)) != two
    assert all(cloud.memory.read(c.va, 1)[0] != c.value for c in one)
    for batch in batches(one * 2):
        assert len({c.va // 4096 for c in batch}) == len(batch)


def test_what_nothing_sees_is_missed(cloud: Target) -> None:
    """A byte outside of what is verified, among others that are caught: it alone is reported."""
    va = cloud.symbols.lookup("panic_timeout")
    unseen = Change("rodata", va, cloud.memory.read(va, 1)[0] ^ 1)
    tally = Tally()
    _check_batch(cloud, [*list(batches(random_changes(cloud, 20, random.Random(3))))[0], unseen], tally)
    assert tally.missed == [f"rodata: {va:#x} changed to {unseen.value:#04x}"]
    assert tally.tried.total() == tally.caught.total() + 1
