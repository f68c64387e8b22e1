import pytest

from tinyvmi_build.bench.statistics import Spread, less, spread


def test_of_nothing_there_is_none() -> None:
    assert spread([]) is None


def test_one_value_is_all_of_it() -> None:
    assert spread([7]) == Spread(1, 7, 7, 7, 7, 7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([4, 1, 3, 2, 5], Spread(5, 3, 2, 4, 1, 5)),
        ([10, 20], Spread(2, 15, 12.5, 17.5, 10, 20)),
        ([1, 1, 1, 1000], Spread(4, 1, 1, 250.75, 1, 1000)),
    ],
)
def test_median_and_quartiles(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_less_is_negative_if_it_is_more() -> None:
    assert less(5, 100) == 95
    assert less(150, 100) == -50
