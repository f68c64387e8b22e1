"""How long to wait: every time limit is multiplied by TINYVMI_TIMEOUT_FACTOR, for slower machines."""

from __future__ import annotations

import os

from tinyvmi_build.errors import UsageError

VARIABLE = "TINYVMI_TIMEOUT_FACTOR"


def timeout(seconds: float) -> float:
    """`seconds` times the factor; UsageError if that is no number in (0, 1000)."""
    text = os.environ.get(VARIABLE, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1000:
        raise UsageError(f"{VARIABLE} is '{text}'", hint="give a number such as 2")
    return seconds * factor
