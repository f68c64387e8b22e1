"""Hostile text on its way to a terminal."""

from __future__ import annotations


def safe(text: str) -> str:
    """`text` with everything but printable ASCII and tabs made visible (`\\xNN`, `\\uNNNN`)."""
    return "".join(
        c if " " <= c <= "~" or c == "\t" else f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
        for c in text
    )
