"""identity: build-id, banner, and the addresses by which a running kernel is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.errors import UsageError
from tinyvmi_build.golden.unknown import Unknown, require

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


def kernel(image: KernelImage) -> dict[str, Any]:
    """What the monitor needs to find this kernel in memory (link addresses).

    Sources: `phys_base` (arch/x86/kernel/head_64.S), `init_top_pgt`,
    `__pgtable_l5_enabled` (absent without CONFIG_X86_5LEVEL), `system_state`
    and its `SYSTEM_RUNNING` (include/linux/kernel.h, a value that differs between series).
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
        }
    except (Unknown, KeyError) as why:
        raise UsageError(
            f"{image.release}: this kernel cannot be found in memory: {why}",
            hint="TinyVMI supports x86-64 Linux 5.10 and later; report this kernel's version",
        ) from None


def golden(image: KernelImage) -> dict[str, Any]:
    """The banner (`linux_banner`, init/version.c) with its address."""
    banner_va = require(image, "linux_banner")
    return {"banner_va": banner_va, "banner": image.cstr(banner_va)}
