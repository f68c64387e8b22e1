"""What a finding means: changed code as instructions, and one line for each kind of finding.

Disassembly needs capstone; where that is missing, as on a small dom0, the
bytes stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CODE_CHECKS = ("text", "modules")
_MAX_INSTRUCTIONS = 8
_TARGET = re.compile(r"0x[0-9a-f]{9,16}\b")

_CONSTANT = "constant data was changed; the kernel maps it read-only, and nothing writes it after boot"
# (check, kind) → what it means, and who could have done it legitimately.
_MEANINGS = {
    ("syscall-table", "pointer"): (
        "a system call leads elsewhere; nothing writes this table after boot, tracers hook entries and not it"
    ),
    ("idt", "gate"): (
        "an interrupt or exception enters elsewhere; gates are written at boot only,"
        " and a hypervisor's vectors are allowed for"
    ),
    ("idt", "mapping"): (
        "the CPUs see another frame as their IDT than the kernel's own; nothing does this legitimately"
    ),
    ("policy-globals", "string"): (
        "the kernel would start this program as root; an administrator may have set it with sysctl:"
        " if so, allow it in [checks.policy-globals]"
    ),
    ("rodata", "page-digest"): _CONSTANT,
    ("rodata", "bytes"): _CONSTANT,
    ("function-pointers", "pointer"): (
        "the kernel would call other code here than its package says; none of its own code puts this there"
    ),
    ("ro-after-init", "boot-value"): "it leads to where no value of the boot leads; nothing writes it later",
    ("page-tables", "pointer"): "the kernel would run on other page tables; nothing changes this pointer",
    ("page-tables", "page-table"): (
        "this address space has another view of the kernel than init_top_pgt; nothing does this legitimately"
    ),
    ("identity", "bytes"): "the image does not say what its package says; nothing changes it after boot",
    ("identity", "string"): "the kernel's banner is not its package's; nothing changes it after boot",
    ("identity", "mapping"): "kernel addresses lead to other frames than the image's; nothing remaps them",
    ("text", "kprobe"): "a probe registered in the kernel's own table, as tracers and BPF programs set them",
    ("text", "text-bytes"): (
        "code was changed where the kernel never patches itself; nothing does this legitimately"
    ),
}
_OF_CHECK = {
    "text": (
        "the kernel patches this place itself, but to no such encoding in its present state:"
        " tracing, static keys, livepatch and BPF leave others"
    ),
    "ro-after-init": "it was written at boot and made read-only; nothing changes it after that",
    "modules": "a module's code or constant data is not that of its package",
}


def meaning(check: str, kind: str) -> str:
    """One line about findings of this kind; "" if there is nothing to say."""
    return _MEANINGS.get((check, kind)) or _OF_CHECK.get(check, "")


def is_code(check: str, kind: str) -> bool:
    """Whether the bytes of such a finding are instructions."""
    return check in _CODE_CHECKS and kind not in ("mapping", "page-digest", "pointer")


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
