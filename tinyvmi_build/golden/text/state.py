"""Where the running kernel keeps what it has patched in: run-time constants, ftrace, kprobes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinyvmi_build.golden.unknown import Unknown, require

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: What is known of a constant's value (enum tv_text_constant).
POINTER, SHIFT, USER_LIMIT, SLAB = range(4)
_KINDS = {
    "dentry_hashtable": POINTER,
    "d_hash_shift": SHIFT,
    "USER_PTR_MAX": USER_LIMIT,
    "__dentry_cache": SLAB,
    "__names_cache": SLAB,
    "__filp_cache": SLAB,
    "__bfilp_cache": SLAB,
}


def _offset(image: KernelImage, type_name: str, member: str) -> int:
    try:
        return image.btf.offset(f"struct {type_name}", member)
    except KeyError as why:
        raise Unknown(f"struct {type_name} is not described: {why}") from None


def constants(image: KernelImage, symbols: Sequence[str], text: int) -> dict[str, Any]:
    """`list`: what is put into instructions at boot; `variable` is 0 where the compiler kept none."""
    found = []
    for symbol in symbols:
        if symbol not in _KINDS:
            raise Unknown(f"the kernel has a run-time constant {symbol}, which this generator does not know")
        kind = _KINDS[symbol]
        variable = image.symbols.get(symbol)
        if variable is None and kind != SLAB:
            raise Unknown(f"the variable of the run-time constant {symbol} is not known")
        found.append({"symbol": symbol, "kind": kind, "variable": variable - text if variable else 0})
    slabs = any(c["kind"] == SLAB for c in found)
    return {
        "list": found,
        "slab_caches": require(image, "slab_caches") - text if slabs else 0,
        "slab_list": _offset(image, "kmem_cache", "list") if slabs else 0,
    }


def ftrace(image: KernelImage, text: int) -> dict[str, Any]:
    """ftrace_ops (linux/ftrace.h), and the functions that the trampolines may call."""
    get = image.symbols.get
    functions = ("ftrace_stub", "ftrace_ops_list_func", "arch_ftrace_ops_list_func", "ftrace_ops_assist_func")
    callers = ("ftrace_caller", "ftrace_regs_caller")
    graph = ("ftrace_stub", "ftrace_graph_caller")
    return {
        "ops_list": require(image, "ftrace_ops_list") - text,
        "list_end": require(image, "ftrace_list_end") - text,
        "func": _offset(image, "ftrace_ops", "func"),
        "next": _offset(image, "ftrace_ops", "next"),
        "trampoline": _offset(image, "ftrace_ops", "trampoline"),
        "callers": [va - text for name in callers if (va := get(name)) is not None],
        "functions": [va - text for name in functions if (va := get(name)) is not None],
        "graph": [va - text for name in graph if (va := get(name)) is not None],
    }


def kprobes(image: KernelImage, text: int) -> dict[str, Any]:
    """kprobe_table (kernel/kprobes.c): 64 lists of struct kprobe."""
    table = require(image, "kprobe_table")
    return {
        "table": table - text,
        "buckets": 64,
        "hlist": _offset(image, "kprobe", "hlist"),
        "addr": _offset(image, "kprobe", "addr"),
        "opcode": _offset(image, "kprobe", "opcode"),
        "flags": _offset(image, "kprobe", "flags"),
        "copied": _offset(image, "optimized_kprobe", "optinsn.copied_insn"),
    }
