"""Typed filters: the only way for text from outside into generated C or an xl config.

Each returns `Code`, which the environment lets through; plain text it lets
through only if it cannot mean anything (see `env.finalize`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from tinyvmi_build.safe_text import safe

_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEYWORDS = frozenset(
    """
    alignas alignof asm auto bool break case char const constexpr continue default do double else enum
    extern false float for goto if inline int long nullptr register restrict return short signed sizeof
    static static_assert struct switch thread_local true typedef typeof typeof_unqual union unsigned void
    volatile while linux unix i386
    """.split()  # noqa: SIM905 - a list of words is easier to read
)
T = TypeVar("T")


class Code(str):
    """Text that is meant as code."""

    __slots__ = ()


def c_str(value: str | bytes) -> Code:
    """A C string literal; three-digit octal escapes (unlike hex ones they end), and no trigraphs."""
    raw = value.encode() if isinstance(value, str) else _expect(value, bytes, "c_str")
    return Code('"' + "".join(_c_char(byte) for byte in raw) + '"')


def _c_char(byte: int) -> str:
    char = chr(byte)
    if char in '"\\?':
        return "\\" + char
    return char if " " <= char <= "~" else f"\\{byte:03o}"


def c_ident(value: str) -> Code:
    """A C identifier; dashes (of check names) become underscores, anything else is an error."""
    name = _expect(value, str, "c_ident").replace("-", "_")
    if not _IDENT.fullmatch(name) or name in _KEYWORDS or name.startswith("__") or re.match("_[A-Z]", name):
        raise ValueError(f"c_ident: {value!r} cannot be a C identifier")
    return Code(name)


def c_enum(value: str, prefix: str) -> Code:
    """An enumerator's name: `prefix` and `value` in capitals, dashes as underscores."""
    return Code(str(c_ident(f"{prefix.lower()}_{value}")).upper())


def c_hex(value: int, width: int) -> Code:
    """An unsigned constant of `width` hex digits (at most 16), zero-padded; U up to 32 bits, else ULL."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 4 * width <= 1 << 64:
        raise ValueError(f"c_hex({width}): {value!r} is not an unsigned number of {width} hex digits")
    return Code(f"0x{value:0{width}x}{'U' if width <= 8 else 'ULL'}")


def c_bytes(value: bytes, indent: int = 4, per_line: int = 16) -> Code:
    """The inside of an array initializer: `0x00, 0x01, …`, wrapped and indented after the first line."""
    raw = _expect(value, bytes, "c_bytes")
    rows = [raw[i : i + per_line] for i in range(0, len(raw), per_line)]
    return Code((",\n" + " " * indent).join(", ".join(f"0x{byte:02x}" for byte in row) for row in rows))


def c_list(values: Sequence[int], width: int, indent: int = 4, per_line: int = 8) -> Code:
    """The inside of an array initializer of constants, as `c_hex` writes them."""
    rows = [values[i : i + per_line] for i in range(0, len(values), per_line)]
    return Code((",\n" + " " * indent).join(", ".join(c_hex(v, width) for v in row) for row in rows))


def c_comment(value: str) -> Code:
    """Text for inside a block comment: one printable line that cannot end it."""
    return Code(safe(_expect(value, str, "c_comment")).replace("*/", "*\\/").replace("/*", "/\\*"))


def xl_str(value: str) -> Code:
    """A double-quoted string of an xl config (xl.cfg(5); escapes as in tools/libs/util/libxlu_cfg.c)."""
    raw = _expect(value, str, "xl_str").encode()
    if 0 in raw:
        raise ValueError("xl_str: an xl config cannot hold a NUL")
    text = (f"\\{chr(b)}" if chr(b) in '"\\' else chr(b) if 0x20 <= b <= 0x7E else f"\\x{b:02x}" for b in raw)
    return Code('"' + "".join(text) + '"')


def _expect(value: object, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{name}: {type(value).__name__} {value!r} is not {kind.__name__}")
    return value


FILTERS = {f.__name__: f for f in (c_str, c_ident, c_enum, c_hex, c_bytes, c_list, c_comment, xl_str)}
