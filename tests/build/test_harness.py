"""`make test` itself: the last line counts, and a lab that was skipped is no success in CI."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SAMPLE = """
import pytest
def test_good(): pass
def test_bad(): assert 0
@pytest.fixture
def broken(): raise RuntimeError
def test_error(broken): pass
@pytest.fixture
def late():
    yield
    raise RuntimeError
def test_good_until_torn_down(late): pass
"""
SKIPS = "import pytest\ndef test_good(): pass\n@pytest.mark.skip(reason='x')\ndef test_skipped(): pass\n"
MODULE_SKIPS = "import pytest\npytest.skip('x', allow_module_level=True)\n"


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Run pytest over one file below our conftest; (status, last line, all output)."""
    (tmp_path / "tests").mkdir()
    shutil.copy(TESTS / "conftest.py", tmp_path / "tests" / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def go(place: str, text: str, ci: str = "", *more: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CI", ci)
        (tmp_path / "tests" / "test_other.py").write_text("def test_other(): pass\n")
        path = tmp_path / "tests" / place / "test_x.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *more, "tests"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()[-1], done.stdout

    return go


def test_the_last_line_counts_each_test_once(outcome):
    assert outcome("unit", SAMPLE)[:2] == (1, "2 passed, 3 failed, 0 skipped")


def test_a_module_that_cannot_be_imported_counts_as_failed(outcome):
    assert outcome("unit", "import no_such_module\n")[:2] == (2, "0 passed, 1 failed, 0 skipped")


@pytest.mark.parametrize("text", [SKIPS, MODULE_SKIPS])
@pytest.mark.parametrize("place", ["lab", "smoke"])
def test_in_ci_a_skipped_lab_fails(outcome, place, text):
    status, last, output = outcome(place, text, ci="true")
    assert status == 1
    assert last.endswith("0 failed, 1 skipped")
    assert "error: CI=true and 1 tests of the Xen tiers were skipped" in output


@pytest.mark.parametrize("text", [SKIPS, MODULE_SKIPS])
def test_in_ci_a_skipped_lab_fails_in_several_processes_too(outcome, text):
    status, last, output = outcome("lab", text, "true", "-n2", "--dist", "loadfile")
    assert status == 1
    assert last.endswith("0 failed, 1 skipped")
    assert output.count("error: CI=true and 1 tests of the Xen tiers were skipped") == 1


def test_elsewhere_skips_are_skips(outcome):
    assert outcome("lab", SKIPS)[:2] == (0, "2 passed, 0 failed, 1 skipped")


def test_other_skips_are_skips_in_ci(outcome):
    assert outcome("unit", SKIPS, ci="true")[0] == 0


def test_the_tests_of_a_tier_share_a_process(outcome, tmp_path, monkeypatch):
    """By the scheduler of conftest; else each process would boot a lab of its own."""
    text = "import os\n" + "".join(
        f"def test_{n}():\n    open(os.environ['SEEN'], 'a').write(f'{{os.getpid()}} ')\n" for n in range(4)
    )
    seen = tmp_path / "seen"
    monkeypatch.setenv("SEEN", str(seen))
    (tmp_path / "tests" / "lab").mkdir()
    for name in "abcd":
        (tmp_path / "tests" / "lab" / f"test_{name}.py").write_text(text)
    assert outcome("lab", text, "", "-n2", "--dist", "loadfile")[0] == 0
    assert len(seen.read_text().split()) == 20 and len(set(seen.read_text().split())) == 1
