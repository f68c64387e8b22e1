"""What is known of cells: JSON Lines in the cache, appended one by one, so that a run can go on later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.experiments.matrix.cell import FAILED
from tinyvmi_build.paths import cache_dir


class State:
    """Results by key; a later one replaces an earlier one."""

    def __init__(self, path: Path | None = None):
        self.path = path or cache_dir("matrix") / "state.jsonl"
        self._results: dict[str, dict[str, Any]] = {}
        self._latest: dict[tuple[object, ...], dict[str, Any]] = {}
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    result = json.loads(line)
                    self._keep(result)
                except (ValueError, KeyError, TypeError):
                    continue  # a run was killed while it wrote

    def _keep(self, result: dict[str, Any]) -> None:
        self._results[result["key"]] = result
        if result["outcome"] != FAILED or _place(result) not in self._latest:
            self._latest[_place(result)] = result

    def latest(self, **place: object) -> dict[str, Any] | None:
        """The last result of `package`, `circumstance`, `seed`, whatever checked it then; it is `old`."""
        found = self._latest.get(_place(place))
        return found and found | {"old": True}

    def get(self, key: str) -> dict[str, Any] | None:
        return self._results.get(key)

    def done(self, key: str) -> bool:
        """Whether the cell need not be run again: where the lab did not work it is tried again."""
        result = self.get(key)
        return result is not None and result["outcome"] != FAILED

    def add(self, result: dict[str, Any]) -> None:
        self._keep(result)
        line = json.dumps(result, sort_keys=True) + "\n"
        with self.path.open("a+b") as file:
            if file.tell() and not _ends_in_newline(file):
                line = "\n" + line  # what was cut off stays a line of its own
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _place(result: Mapping[str, object]) -> tuple[object, ...]:
    return result["package"], result["circumstance"], result["seed"]


def _ends_in_newline(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
