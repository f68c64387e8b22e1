"""Progress on stderr: nested, timed steps; results go to stdout and never here.

On a terminal a step is announced when it starts and its time is added when it
ends; elsewhere one line is written at the end of each step, so that logs stay
readable.  `NO_COLOR` and `TERM=dumb` are honoured.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from tinyvmi_build.safe_text import printable


class Progress:
    """Writes steps to `stream`; `quiet` keeps only notes of trouble."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False):
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = quiet
        self.prefix: Callable[[], str] | None = None  # what each line begins with
        self._depth = 0
        tty = getattr(self.stream, "isatty", lambda: False)()
        self.colour = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def _style(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

    def _line(self, text: str) -> None:
        """Write `text`, which may be styled."""
        prefix = self.prefix() if self.prefix else ""
        self.stream.write(f"{prefix}{'  ' * self._depth}{text}\n")
        self.stream.flush()

    def note(self, text: str) -> None:
        """One line of information inside the current step."""
        if not self.quiet:
            self._line(printable(text))

    def warn(self, text: str) -> None:
        """One line that is shown even when quiet."""
        self._line(self._style("33", f"warning: {printable(text)}"))

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce `title`, run the body, say how long it took (seconds)."""
        if self.quiet:
            yield
            return
        title = printable(title)
        self._line(self._style("1", f"• {title}"))
        start = time.monotonic()
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            self._line(self._style("31", f"✗ {title} ({time.monotonic() - start:.1f} s)"))
            raise
        self._depth -= 1
        self._line(self._style("32", f"✓ {title} ({time.monotonic() - start:.1f} s)"))
