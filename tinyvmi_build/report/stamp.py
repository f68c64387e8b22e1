"""When, where and about which target something is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tinyvmi_build.safe_text import safe


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Stamp:
    """`target` is the name under which the target is watched now."""

    target: str = ""
    clock: Callable[[], datetime] = _now
    host: str = field(default_factory=lambda: os.uname().nodename)

    def line(self) -> str:
        """What a line for a person begins with: local time (RFC 3339, seconds) and the target."""
        when = self.clock().astimezone().isoformat(timespec="seconds")
        return f"{when} {safe(self.target)}: " if self.target else f"{when} "

    def fields(self) -> dict[str, object]:
        """What an object for a program begins with: UTC time (RFC 3339), the host, the target if known."""
        when = self.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"time": when, "host": self.host, **({"target": self.target} if self.target else {})}
