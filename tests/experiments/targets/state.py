"""What is known of rows, in the cache, so that a run can go on and leave out what has not changed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.experiments.targets.run_row import FAILED
from tinyvmi_build.paths import cache_dir


class State:
    """Results by row and bases; each with the `key` of what made it."""

    def __init__(self, path: Path | None = None):
        self.path = path or cache_dir("targets") / "state.json"
        self._results: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._results = json.loads(self.path.read_text())

    def get(self, row: str, bases: Sequence[str], key: str) -> dict[str, Any] | None:
        """The last result, `old` if something else than `key` made it."""
        found = self._results.get(_place(row, bases))
        return found and found | {"old": found["key"] != key}

    def done(self, row: str, bases: Sequence[str], key: str) -> bool:
        """Whether the row need not be run again: where the lab did not get there it is tried again."""
        found = self.get(row, bases, key)
        return found is not None and not found["old"] and found["outcome"] != FAILED

    def add(self, row: str, bases: Sequence[str], key: str, result: dict[str, Any]) -> None:
        """Keep `result`; a lab that did not get there takes no earlier verdicts away."""
        known = self._results.get(_place(row, bases))
        if result["outcome"] == FAILED and known is not None and known["outcome"] != FAILED:
            return
        self._results[_place(row, bases)] = result | {"key": key}
        partial = self.path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(self._results, indent=1, sort_keys=True) + "\n")
        partial.rename(self.path)


def _place(row: str, bases: Sequence[str]) -> str:
    return f"{row} | {' + '.join(bases)}"
