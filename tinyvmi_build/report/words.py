"""Numbers, bytes and times as a person reads them."""

from __future__ import annotations

from tinyvmi_build.safe_text import safe

_SHOWN_BYTES = 16


def count_of(number: int, what: str) -> str:
    """`3 findings`, `1 finding`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def short_time(us: int) -> str:
    """Microseconds, in the unit that suits."""
    return f"{us} us" if us < 1000 else f"{us / 1000:.1f} ms"


def long_time(seconds: float) -> str:
    """`45 s`, `5 min`, `3 h`, `2 h 30 min`, `4 d 3 h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    return f"{days} d" + (f" {hours % 24} h" if hours % 24 else "")


def distance(offset: int) -> str:
    """From a symbol: `+0x8`.  A module's data may lie below its code, and 64 bits wrap around: `-0x3000`."""
    if offset >= 1 << 63:
        return f"-0x{(1 << 64) - offset:x}"
    return f"+0x{offset:x}" if offset else ""


def some_bytes(hex_text: str, symbol: str, as_text: bool) -> str:
    """The first bytes, and what they mean: the `symbol` they lead to, or their text."""
    raw = bytes.fromhex(hex_text)
    shown = raw[:_SHOWN_BYTES].hex(" ") + (f" … ({len(raw)} bytes)" if len(raw) > _SHOWN_BYTES else "")
    if symbol:
        return f"{shown} → {safe(symbol)}"
    if as_text:
        return f'{shown} "{safe(raw.split(bytes(1))[0].decode("latin-1"))}"'
    return shown
