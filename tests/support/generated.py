"""Files of the repository that are generated: a test holds them equal to their generator."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def hold_equal(config: pytest.Config, name: str, text: str) -> None:
    """The file `name` of the repository holds `text`; with --bless it is written."""
    path = REPOSITORY / name
    if config.getoption("--bless"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    assert path.is_file() and path.read_text(encoding="utf-8") == text, (
        f"{name} is not what its generator gives: run pytest --bless"
    )
