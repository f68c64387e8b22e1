"""The linters are tests: what they find fails here, and one that is missing fails too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
#: C that clang-format does not check: expected texts, and programs in a kernel's own style.
_UNFORMATTED = ("tests/support/expected/", "tests/dump/guest/", "minios_app/bench/poke.c")


def files(*patterns: str) -> list[str]:
    """The files of the repository that match `patterns`, new ones that nobody has added included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = sorted(path for path in set(listed.splitlines()) if (ROOT / path).is_file())
    assert found, f"no file matches {patterns}"
    return found


def lint(tool: str, *arguments: str) -> None:
    """Run a linter of this virtual environment; what it prints is the test's failure."""
    command = [str(BIN / tool), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{tool}:\n{done.stdout}{done.stderr}"


def test_ruff() -> None:
    lint("ruff", "check", ".")


def test_ruff_format() -> None:
    lint("ruff", "format", "--check", "--quiet", ".")


def test_mypy() -> None:
    lint("mypy")


def formatted_c() -> list[str]:
    """The C that clang-format formats."""
    return [path for path in files("*.c", "*.h") if not path.startswith(_UNFORMATTED)]


def test_clang_format() -> None:
    lint("clang-format", "--dry-run", "--Werror", *formatted_c())


def test_codespell() -> None:
    lint("codespell", *files("*.py", "*.md", "*.c", "*.h", "*.j2", "*.sh", "*.S", "*.toml", "Makefile"))


def test_shellcheck() -> None:
    lint("shellcheck", *files("*.sh", ".ci/run"))


def test_reuse() -> None:
    lint("reuse", "lint", "--quiet")


@pytest.mark.parametrize("name", ["minios_app/wrong.c", "tinyvmi_build/wrong.py"])
def test_a_linter_that_finds_something_fails(name: str, tmp_path: Path) -> None:
    wrong = tmp_path / Path(name).name
    wrong.write_text("int  a ;\n" if name.endswith(".c") else "import os\n")
    tool = ("clang-format", "--dry-run", "--Werror") if name.endswith(".c") else ("ruff", "check")
    with pytest.raises(AssertionError):
        lint(*tool, str(wrong))


if __name__ == "__main__" and sys.argv[1:] == ["format"]:
    lint("clang-format", "-i", *formatted_c())
