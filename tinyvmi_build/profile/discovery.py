"""What a monitor needs to find a kernel in memory.

Sources: `phys_base` (arch/x86/kernel/head_64.S), `init_top_pgt`, `__pgtable_l5_enabled` (absent without
CONFIG_X86_5LEVEL), `system_state` with SYSTEM_RUNNING and SYSTEM_SUSPEND (include/linux/kernel.h, values
that differ between series; between the two lie those of a kernel that has ended); `tk_fast_mono`, the copy
of the timekeeper's state that is rewritten at every tick (kernel/time/timekeeping.c); `linux_banner`
(init/version.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.errors import UsageError

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


@dataclass(frozen=True)
class Clock:
    """A `struct tk_read_base` that each tick rewrites: its link address, and offsets of its members."""

    va: int
    clock: int
    cycle_last: int
    base_real: int


@dataclass(frozen=True)
class Discovery:
    """Link addresses and values by which a running kernel is found; `la57_va` is 0 where there is none."""

    text_va: int
    image_size: int
    physical_start: int
    build_id_va: int
    banner_va: int
    banner: str
    phys_base_va: int
    root_va: int
    la57_va: int
    system_state_va: int
    system_running: int
    system_suspend: int
    clock: Clock | None


def discovery(image: KernelImage) -> Discovery:
    """Of a kernel; UsageError if it cannot be found: no check can do without."""
    try:
        text = require(image, "_text")
        banner = require(image, "linux_banner")
        return Discovery(
            text_va=text,
            image_size=require(image, "_end") - text,
            physical_start=image.physical_start,
            build_id_va=image.build_id_va,
            banner_va=banner,
            banner=image.cstr(banner),
            phys_base_va=require(image, "phys_base"),
            root_va=require(image, "init_top_pgt"),
            la57_va=image.symbols.get("__pgtable_l5_enabled") or 0,
            system_state_va=require(image, "system_state"),
            system_running=image.btf.enum_value("system_states", "SYSTEM_RUNNING"),
            system_suspend=image.btf.enum_value("system_states", "SYSTEM_SUSPEND"),
            clock=_clock(image),
        )
    except (UnsupportedError, KeyError) as why:
        raise UsageError(
            f"{image.release}: this kernel cannot be found in memory: {why}",
            hint="TinyVMI supports x86-64 Linux 5.10 and later; report this kernel's version",
        ) from None


def _clock(image: KernelImage) -> Clock | None:
    va = image.symbols.get("tk_fast_mono")
    members = ("clock", "cycle_last", "base_real")
    known = image.btf.has_member("tk_fast", "base") and all(
        image.btf.has_member("tk_read_base", member) for member in members
    )
    if va is None or not known:
        return None
    offsets = {member: image.btf.offset("tk_read_base", member) for member in members}
    return Clock(va=va + image.btf.offset("tk_fast", "base"), **offsets)
