"""identity: build-id, banner, and the addresses by which a running kernel is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown, require
from tinyvmi_build.errors import UsageError

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


def kernel(image: KernelImage) -> dict[str, Any]:
    """What the monitor needs to find this kernel in memory (link addresses).

    Sources: `phys_base` (arch/x86/kernel/head_64.S), `init_top_pgt`,
    `__pgtable_l5_enabled` (absent without CONFIG_X86_5LEVEL), `system_state`
    and its `SYSTEM_RUNNING` and `SYSTEM_SUSPEND` (include/linux/kernel.h, values that differ between
    series; between the two lie those of a kernel that has ended); `tk_fast_mono`, the copy of the
    timekeeper's state that is rewritten at every tick (kernel/time/timekeeping.c).
    """
    try:
        text = require(image, "_text")
        return {
            "text_va": text,
            "image_size": require(image, "_end") - text,
            "physical_start": image.physical_start,
            "build_id_va": image.build_id_va,
            "phys_base_va": require(image, "phys_base"),
            "root_va": require(image, "init_top_pgt"),
            "la57_va": image.symbols.get("__pgtable_l5_enabled") or 0,
            "system_state_va": require(image, "system_state"),
            "system_running": image.btf.enum_value("system_states", "SYSTEM_RUNNING"),
            "system_suspend": image.btf.enum_value("system_states", "SYSTEM_SUSPEND"),
            "clock": _clock(image),
        }
    except (Unknown, KeyError) as why:
        raise UsageError(
            f"{image.release}: this kernel cannot be found in memory: {why}",
            hint="TinyVMI supports x86-64 Linux 5.10 and later; report this kernel's version",
        ) from None


def _clock(image: KernelImage) -> dict[str, int]:
    """Where a `struct tk_read_base` lies that each tick rewrites, and its members' offsets; {} if unknown."""
    va = image.symbols.get("tk_fast_mono")
    members = ("clock", "cycle_last", "base_real")
    known = image.btf.has_member("tk_fast", "base") and all(
        image.btf.has_member("tk_read_base", member) for member in members
    )
    if va is None or not known:
        return {}
    offsets = {member: image.btf.offset("tk_read_base", member) for member in members}
    return {"va": va + image.btf.offset("tk_fast", "base"), **offsets}


def golden(image: KernelImage) -> dict[str, Any]:
    """The banner (`linux_banner`, init/version.c) with its address."""
    banner_va = require(image, "linux_banner")
    return {"banner_va": banner_va, "banner": image.cstr(banner_va)}
