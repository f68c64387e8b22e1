"""Changed code as instructions.

Disassembly needs capstone; where that is missing, as on a small dom0, the
bytes stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MAX_INSTRUCTIONS = 8
_TARGET = re.compile(r"0x[0-9a-f]{9,16}\b")


def instructions(code: bytes, address: int, name: Callable[[int], str]) -> tuple[str, ...]:
    """`code` at `address` in Intel's syntax, targets named by `name` ("": unknown); () without capstone.

    At most eight instructions; bytes that are none end it as `(bad)`.
    """
    try:
        import capstone
    except ImportError:
        return ()
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    lines: list[str] = []
    done = 0
    for _, size, mnemonic, operands in engine.disasm_lite(code, address, _MAX_INSTRUCTIONS):
        done += size
        lines.append(_TARGET.sub(lambda m: _named(m[0], name), f"{mnemonic} {operands}".strip()))
    if done < len(code) and len(lines) < _MAX_INSTRUCTIONS:
        lines.append("(bad)")
    return tuple(lines)


def _named(target: str, name: Callable[[int], str]) -> str:
    known = name(int(target, 16))
    return f"{target} <{known}>" if known else target
