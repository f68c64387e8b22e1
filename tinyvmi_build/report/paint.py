"""Lines on a stream, coloured if that is a terminal whose user wants colours."""

from __future__ import annotations

import os
from typing import TextIO

from tinyvmi_build.records.verdict import Verdict
from tinyvmi_build.report.stamp import Stamp

BAD, WARN, DIM, ALARM = "31", "33", "2", "1;31"
_COLOURS = {
    Verdict.INTACT: "32",
    Verdict.UNVERIFIABLE: WARN,
    Verdict.ERROR: BAD,
    Verdict.TAMPERED: ALARM,
}


class Painter:
    """Writes to `stream`; with a `stamp`, each line begins with time and target, and none is empty."""

    def __init__(self, stream: TextIO, stamp: Stamp | None = None):
        self._stream = stream
        self._stamp = stamp
        tty = getattr(stream, "isatty", lambda: False)()
        self._colour = tty and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def paint(self, code: str, text: str) -> str:
        """`text` in a colour."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def verdict(self, verdict: Verdict, text: str | None = None) -> str:
        """`text` (default: its name) in the colour of the verdict."""
        return self.paint(_COLOURS[verdict], str(verdict) if text is None else text)

    def line(self, text: str = "") -> None:
        """Write a line.  What comes from a guest has passed through safe() before."""
        if self._stamp is not None:
            if not text:
                return
            text = self._stamp.line() + text
        self._stream.write(text + "\n")
        self._stream.flush()
