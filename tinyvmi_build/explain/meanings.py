"""What each kind of finding means in one line, and who could have made such a change legitimately."""

from __future__ import annotations

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.check import FindingKind

_NONE = FindingKind("", "", "")


def meaning(check: str, kind: str) -> FindingKind:
    """About findings of this kind; one of empty texts if no check of that name reports it."""
    known = registry.find(check)
    return (known and known.kind(kind)) or _NONE
