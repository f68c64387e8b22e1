"""A kernel of a profile as a Volatility 3 symbol table (ISF, schema 6.2.0).

Types from BTF, symbols from kallsyms, and the types of well-known variables
from a table (`isf_globals`), as BTF has them for per-CPU variables only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
from pathlib import Path

import tinyvmi_build
from tinyvmi_build.checks import registry
from tinyvmi_build.files import write_file
from tinyvmi_build.kernel.btf import Btf
from tinyvmi_build.kernel.kallsyms import kallsyms_tables
from tinyvmi_build.profile.isf_globals import global_types
from tinyvmi_build.profile.isf_types import VOID, Descriptor, isf_types
from tinyvmi_build.profile.profile import KernelProfile

SCHEMA = "6.2.0"


def isf(kernel: KernelProfile) -> dict[str, object]:
    """The symbol table of `kernel` as a JSON document; UsageError if its BTF is damaged."""
    btf = kernel.blob("btf")
    types = isf_types(Btf(btf, kernel.where))
    described = global_types(types, lambda name: _room(kernel, name))
    symbols: dict[str, Descriptor] = {}
    for symbol in kernel.symbols:
        symbols.setdefault(symbol.name, {"address": symbol.address, "type": VOID})
    for name, address in _kallsyms(kernel).items():
        symbols.setdefault(name, {"address": address, "type": VOID})
    for name, descriptor in described.items():
        if name in symbols:
            symbols[name]["type"] = descriptor
    banner = kernel.banner.encode("ascii", "replace") + b"\n\0"
    if "linux_banner" in symbols:
        text = {"kind": "array", "count": len(banner), "subtype": {"kind": "base", "name": "char"}}
        symbols["linux_banner"] |= {"type": text, "constant_data": base64.b64encode(banner).decode()}
    return {
        "metadata": {
            "format": SCHEMA,
            "producer": {"name": "tinyvmi-build", "version": tinyvmi_build.__version__},
            "linux": {
                "symbols": [{"kind": "symtab", "name": f"kallsyms of {kernel.source}"}],
                "types": [
                    {
                        "name": f"BTF of {kernel.source}",
                        "hash_type": "sha256",
                        "hash_value": hashlib.sha256(btf).hexdigest(),
                    }
                ],
            },
        },
        "base_types": types.base_types,
        "user_types": types.user_types,
        "enums": types.enums,
        "symbols": symbols,
    }


def _room(kernel: KernelProfile, name: str) -> int:
    found = kernel.symbols.all(name)
    return kernel.symbols.next_address(found[0].address) - found[0].address if found else 0


def _kallsyms(kernel: KernelProfile) -> dict[str, int]:
    """The addresses of the kallsyms tables, which are in .rodata, if the profile has its bytes."""
    start = kernel.section(".rodata").addr
    content = next((blob.data for va, blob in registry.contents(kernel) if va == start), None)
    return kallsyms_tables(content, start) if content else {}


def save_isf(kernel: KernelProfile, path: Path) -> int:
    """Write the symbol table of `kernel`, compressed if `path` ends in .xz; its size, bytes."""
    data = json.dumps(isf(kernel), separators=(",", ":"), sort_keys=True).encode("ascii")
    if path.suffix == ".xz":
        data = lzma.compress(data, preset=1)
    write_file(path, data)
    return len(data)
