"""page-tables: where every root of page tables is found: tasks, address spaces, what the CPUs have loaded.

There are no values to compare with in the package: each root's kernel half
must equal that of init_top_pgt, through which the other checks look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown, require

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

PTI = 7 * 32 + 11  # X86_FEATURE_PTI (asm/cpufeatures.h)
#: Address spaces of the kernel's own, by the name of the pointer to them (arch/x86/kernel/alternative.c).
_POINTERS = ("poking_mm", "text_poke_mm")
_TASK = ("tasks", "pid", "comm", "mm", "active_mm", "signal", "thread_node")


def golden(image: KernelImage) -> dict[str, Any]:
    """Link addresses, and offsets of members as `struct.member`.

    `ldt` (mm_context_t.ldt, 0xffffffff if there is none) tells who may have an LDT's slot of its own;
    `per_cpu_moves` says whether KASLR moves per-CPU symbols (since Linux 6.15);
    `pointers` lead to struct mm_struct, or hold NULL; `efi` is efi_mm or 0.
    """
    btf = image.btf
    try:
        task = {name: btf.offset("struct task_struct", name) for name in _TASK}
        found: dict[str, Any] = {
            **task,
            "comm_size": btf.sizeof("struct task_struct", "comm"),
            "pgd": btf.offset("struct mm_struct", "pgd"),
            "thread_head": btf.offset("struct signal_struct", "thread_head"),
            "loaded_mm": btf.offset("struct tlb_state", "loaded_mm"),
            "capabilities": require(image, "boot_cpu_data")
            + btf.offset("struct cpuinfo_x86", "x86_capability"),
        }
        has_ldt = btf.has_member("struct mm_struct", "context.ldt")
        found["ldt"] = btf.offset("struct mm_struct", "context.ldt") if has_ldt else 0xFFFFFFFF
    except KeyError as why:
        raise Unknown(f"tasks and their memory are not described: {why}") from None
    tlb = require(image, "cpu_tlbstate")
    return found | {
        "init_task": require(image, "init_task"),
        "init_mm": require(image, "init_mm"),
        "efi": image.symbols.get("efi_mm") or 0,
        "pointers": [va for name in _POINTERS if (va := image.symbols.get(name)) is not None],
        "per_cpu_offset": require(image, "__per_cpu_offset"),
        "nr_cpu_ids": require(image, "nr_cpu_ids"),
        "cpu_tlbstate": tlb,
        "per_cpu_moves": tlb >= image.text_va,
        "pti": PTI,
    }
