"""The kinds of patch sites."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """The monitor's number of a kind of site (enum tv_text_kind)."""

    ALTERNATIVE = 0
    RETURN = 1
    RETPOLINE = 2
    PARAVIRT = 3
    LOCK = 4
    ENDBR = 5
    FTRACE = 6
    JUMP_LABEL = 7
    STATIC_CALL = 8
    TRAMPOLINE = 9
    RUNTIME_CONST = 10
    FTRACE_UPDATE = 11
