"""Hostile text on its way to a terminal."""

from __future__ import annotations


def safe(text: str) -> str:
    """`text` with everything but printable ASCII and tabs made visible (`\\xNN`, `\\uNNNN`)."""
    return "".join(
        c if " " <= c <= "~" or c == "\t" else f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
        for c in text
    )


def printable(text: str) -> str:
    """`text` with what is not printable made visible, but for line breaks; letters of any script stay.

    For text of this machine: the user's file names, and what is quoted from files.
    """
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
