"""The error for a fact that a kernel does not have."""

from __future__ import annotations

from tinyvmi_build.errors import UsageError


class MissingFactError(UsageError, KeyError):
    """A symbol, type, member or section that this kernel lacks.

    A KeyError too: whoever can do without the fact asks for it in a `try`;
    whoever cannot lets it reach the user as one clear line.
    """

    def __str__(self) -> str:
        return self.message
