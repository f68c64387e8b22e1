"""Where the running kernel keeps what it has patched in: run-time constants, text pokes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown, require

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


def offset(image: KernelImage, type_name: str, member: str) -> int:
    """Of a structure's member; Unknown if BTF does not have it."""
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
        "slab_list": offset(image, "kmem_cache", "list") if slabs else 0,
    }


def poke(image: KernelImage, text: int) -> dict[str, int]:
    """The text poke in flight (arch/x86/kernel/alternative.c): which places it names.

    `vector` is where struct text_poke_loc begin (`indirect`: a pointer to them), `count` their number; their
    addresses count from _stext.
    """
    loc, array = "text_poke_loc", image.symbols.get("text_poke_array")
    if array is not None:
        loc = "smp_text_poke_loc"
        where = array + offset(image, "smp_text_poke_array", "vec")
        count = array + offset(image, "smp_text_poke_array", "nr_entries")
    else:
        desc = require(image, "bp_desc")
        where = desc + offset(image, "bp_patching_desc", "vec")
        count = desc + offset(image, "bp_patching_desc", "nr_entries")
    return {
        "vector": where - text,
        "indirect": int(array is None),
        "count": count - text,
        "refs": 0 if array is not None else desc + offset(image, "bp_patching_desc", "refs") - text,
        "size": image.btf.sizeof(f"struct {loc}"),
        "address": offset(image, loc, "rel_addr"),
        "base": require(image, "_stext") - text,
    }
