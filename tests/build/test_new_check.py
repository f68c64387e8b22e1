"""A new check is new files alone: the scaffold writes them, and a monitor with it is built."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.new_check import NAME, run, tree_with_new_check


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tree_with_new_check(tmp_path_factory.mktemp("new-check") / "tinyvmi")


def test_its_own_test_passes(tree: Path) -> None:
    out = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/checks/test_first_words.py")
    assert "3 passed" in out


def test_it_can_be_configured(tree: Path) -> None:
    schema = json.loads(run(tree, "-m", "tinyvmi_build", "config", "schema"))
    assert NAME in schema["properties"]["checks"]["properties"]


def test_a_monitor_is_built_with_it(tree: Path, cloud_kernel: Path, tmp_path: Path) -> None:
    (tmp_path / "tinyvmi.toml").write_text(f'[kernel]\npackages = ["{cloud_kernel}"]\n')
    run(tree, "-m", "tinyvmi_build", "build", "-c", str(tmp_path))
    image = tmp_path / "build" / "guest" / "tinyvmi-guest.gz"
    note = json.loads(run(tree, "-m", "tinyvmi_build", "inspect", str(image), "--json"))
    assert NAME in note["tinyvmi"]["checks"]
    generated = image.parent / "generated"
    assert "checks/first_words.c" in (generated / "check_sources.txt").read_text().split()
    assert "TV_CHECK_FIRST_WORDS" in (generated / "profiles.c").read_text()


def test_a_name_that_is_none_or_taken_is_refused(tree: Path) -> None:
    for name in ("Idt", "a_b", "-x", "idt", NAME):
        done = subprocess.run(
            [sys.executable, "toolchain/new_check.py", name],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2 and done.stderr.startswith("error: "), name
