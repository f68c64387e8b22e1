"""Verdicts and how they add up (docs/reference/exit-status.md)."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from tinyvmi_build.errors import Exit


class Verdict(enum.StrEnum):
    """What a check, a scan or a run came to."""

    INTACT = "intact"
    UNVERIFIABLE = "unverifiable"
    ERROR = "error"
    TAMPERED = "tampered"


_SEVERITY = {Verdict.INTACT: 0, Verdict.UNVERIFIABLE: 1, Verdict.ERROR: 2, Verdict.TAMPERED: 3}

_EXIT = {
    Verdict.INTACT: Exit.INTACT,
    Verdict.UNVERIFIABLE: Exit.UNVERIFIABLE,
    Verdict.ERROR: Exit.ENVIRONMENT,
    Verdict.TAMPERED: Exit.TAMPERED,
}


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The verdict of a whole: tampered, else error, else unverifiable, else intact; of nothing, None."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=None)


def exit_of(verdict: Verdict | None) -> Exit:
    """The exit status for `verdict`; None (nothing was checked) is never success."""
    return Exit.UNVERIFIABLE if verdict is None else _EXIT[verdict]
