"""The output of `make run` has the form that README.md shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "support" / "expected" / "run.txt"


def form(text: str) -> set[str]:
    """The lines of `text` without what differs from run to run: numbers, addresses, bytes, durations."""
    text = re.sub(r"\b[0-9a-f]{2}( [0-9a-f]{2})+\b|\b[0-9a-f]{16,}\b|0x[0-9a-f]+", "#", text)
    text = re.sub(r"-?\d[\d.,:]*", "#", text)
    text = re.sub(r"\b(us|ms|s)\b", "T", text)
    text = re.sub(r" \([a-z-]+\)$", " (the slowest check)", text, flags=re.MULTILINE)
    return {re.sub(r"\s+", " ", line).strip() for line in text.splitlines()}


def test_make_run_prints_what_the_readme_shows(request):
    command = [sys.executable, "-m", "tinyvmi_build", "--quiet", "lab", "run"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    if request.config.getoption("--bless"):
        SAMPLE.write_text(done.stdout, encoding="utf-8", newline="\n")
    sample = SAMPLE.read_text("utf-8")
    assert form(sample) == form(done.stdout)
    assert "FINDING" in sample
