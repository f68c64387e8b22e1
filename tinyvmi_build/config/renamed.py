"""Keys that had another name before: each is an error that names the new one."""

from __future__ import annotations

#: Old → new.
RENAMED = {
    "monitor.look": "monitor.poll",
    "monitor.slice": "monitor.time_budget",
    "golden.compare": "golden.comparison",
    "golden.digest": "golden.hash",
}
