"""The golden values of each kernel as C: what the checks of a monitor compare with."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ..config.model import ALL_CHECKS, Config

if TYPE_CHECKING:
    from ..profile.profile import KernelProfile

PAGE = 4096
LINES_PER_PAGE = 64


def kernel_context(kernel: KernelProfile) -> dict[str, Any]:
    """Values of `templates/c/profiles.*.j2` for one kernel."""
    golden = kernel.golden
    context = dict(golden["kernel"])
    context.update(
        release=kernel.release,
        build_id=kernel.build_id,
        build_id_bytes=bytes.fromhex(kernel.build_id),
        banner=golden["identity"]["banner"],
        banner_va=golden["identity"]["banner_va"],
        syscall_table_count=len(golden["syscall-table"].get("tables", ())),
        policy_globals_count=len(golden["policy-globals"].get("strings", ())),
    )
    for check in ALL_CHECKS:
        # "" and not None: a template may ask for it and may not print it.
        context[check.replace("-", "_") + "_unknown"] = golden[check].get("unknown", "")
    return context


def table_contexts(config: Config, kernel: KernelProfile) -> dict[str, dict[str, Any]]:
    """Check name → values of `templates/checks/NAME.c.j2`; without the checks unknown for this kernel."""
    makers = {
        "syscall-table": lambda: _syscall_table(kernel),
        "idt": lambda: _idt(kernel),
        "policy-globals": lambda: _policy_globals(config, kernel),
        "rodata": lambda: _rodata(kernel),
    }
    return {check: make() for check, make in makers.items() if "unknown" not in kernel.golden[check]}


def _symbol(kernel: KernelProfile, va: int) -> str:
    found = kernel.symbols.nearest(va)
    if found is None:
        return f"{va:#x}"
    name, offset = found
    return f"{name}+{offset:#x}" if offset else name


def _syscall_table(kernel: KernelProfile) -> dict[str, Any]:
    tables = kernel.golden["syscall-table"]["tables"]
    return {
        "tables": [
            {
                "symbol": table["symbol"],
                "va": table["va"],
                "entries": [{"address": va, "symbol": _symbol(kernel, va)} for va in table["expected"]],
            }
            for table in tables
        ]
    }


def _idt(kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["idt"]
    return {
        "table_va": golden["table_va"],
        "alias_va": golden["alias_va"],
        "segment": golden["segment"],
        "gates": [
            {
                "handlers": [va - kernel.text_va for va in gate["handlers"]],
                "bits": gate["bits"],
                "symbols": ", ".join(_symbol(kernel, va) for va in gate["handlers"]),
            }
            for gate in golden["gates"]
        ],
    }


def _policy_globals(config: Config, kernel: KernelProfile) -> dict[str, Any]:
    strings = []
    for string in kernel.golden["policy-globals"]["strings"]:
        allowed = getattr(config.policy_globals, string["symbol"])
        strings.append(
            {
                "symbol": string["symbol"],
                "va": string["va"],
                "size": string["size"],
                "allowed": list(allowed) if allowed is not None else [string["compiled"]],
            }
        )
    return {"strings": strings}


def _rodata(kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["rodata"]
    digests = kernel.blob("rodata.digests")
    lines = _numbers("H", kernel.blob("rodata.lines"))
    return {
        "symbol": golden["symbol"],
        "va": golden["va"],
        "last_size": (golden["size"] - 1) % PAGE + 1,
        "digests": [digests[at : at + 32] for at in range(0, len(digests), 32)],
        "lines": [lines[at : at + LINES_PER_PAGE] for at in range(0, len(lines), LINES_PER_PAGE)],
        "reloc_index": _numbers("I", kernel.blob("rodata.reloc_index")),
        "relocs": _numbers("H", kernel.blob("rodata.relocs")),
    }


def _numbers(code: str, data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
