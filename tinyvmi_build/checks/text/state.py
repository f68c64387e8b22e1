"""Where the running kernel keeps what it has patched in: run-time constants, text pokes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.golden import Poke, RuntimeConstant, RuntimeConstants

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
    """Of a structure's member; UnsupportedError if BTF does not have it."""
    try:
        return image.btf.offset(f"struct {type_name}", member)
    except KeyError as why:
        raise UnsupportedError(f"struct {type_name} is not described: {why}") from None


def constants(image: KernelImage, symbols: Sequence[str], text: int) -> RuntimeConstants:
    """Of `symbols`; `variable` is 0 where the compiler left none."""
    found = []
    for symbol in symbols:
        if symbol not in _KINDS:
            raise UnsupportedError(
                f"the kernel has a run-time constant {symbol}, which this generator does not know"
            )
        kind = _KINDS[symbol]
        variable = image.symbols.get(symbol)
        if variable is None and kind != SLAB:
            raise UnsupportedError(f"the variable of the run-time constant {symbol} is not known")
        found.append(RuntimeConstant(symbol, kind, variable - text if variable else 0))
    slabs = any(constant.kind == SLAB for constant in found)
    return RuntimeConstants(
        list=tuple(found),
        slab_caches=require(image, "slab_caches") - text if slabs else 0,
        slab_list=offset(image, "kmem_cache", "list") if slabs else 0,
    )


def poke(image: KernelImage, text: int) -> Poke:
    """Of a kernel of any series."""
    loc, array = "text_poke_loc", image.symbols.get("text_poke_array")
    if array is not None:
        loc = "smp_text_poke_loc"
        where = array + offset(image, "smp_text_poke_array", "vec")
        count = array + offset(image, "smp_text_poke_array", "nr_entries")
    else:
        desc = require(image, "bp_desc")
        where = desc + offset(image, "bp_patching_desc", "vec")
        count = desc + offset(image, "bp_patching_desc", "nr_entries")
    return Poke(
        vector=where - text,
        indirect=int(array is None),
        count=count - text,
        refs=0 if array is not None else desc + offset(image, "bp_patching_desc", "refs") - text,
        size=image.btf.sizeof(f"struct {loc}"),
        address=offset(image, loc, "rel_addr"),
        base=require(image, "_stext") - text,
    )
