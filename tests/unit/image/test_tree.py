"""Building on a tree of Mini-OS: the error of each failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.minios.test_source import FILES
from tinyvmi_build.errors import MissingEnvironmentError, UsageError
from tinyvmi_build.image.tree import build_on_tree
from tinyvmi_build.minios.source import Source, source


@pytest.fixture
def tree(tmp_path: Path) -> Source:
    for name, text in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = source(tmp_path / "tree")
    assert found is not None
    return found


def test_a_tree_that_does_not_build(tree: Source, tmp_path: Path) -> None:
    with pytest.raises(MissingEnvironmentError) as caught:
        build_on_tree(tree, tmp_path / "build", [])
    assert "this tree of Mini-OS does not build:\n" in caught.value.message
    assert "No rule to make target 'links'" in caught.value.message
    assert "(command: make -C " in caught.value.message


def test_without_make(tree: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingEnvironmentError, match="needs make") as caught:
        build_on_tree(tree, tmp_path / "build", [])
    assert caught.value.hint == "apt-get install make"


@pytest.mark.parametrize("name", ["with space", "co:lon", "dol$lar"])
def test_a_folder_that_make_cannot_name(tree: Source, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="make cannot work in a folder of this name"):
        build_on_tree(tree, tmp_path / name, [])
