"""page-tables: where every root of page tables is found: tasks, address spaces, what the CPUs have loaded.

There are no values to compare with in the package: each root's kernel half
must equal that of init_top_pgt, by which the other checks read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

PTI = 7 * 32 + 11  # X86_FEATURE_PTI (asm/cpufeatures.h)
#: Address spaces of the kernel's own, by the name of the pointer to them (arch/x86/kernel/alternative.c).
_POINTERS = ("poking_mm", "text_poke_mm")
NO_LDT = 0xFFFFFFFF


@dataclass(frozen=True)
class PageTablesGolden(GoldenValues):
    """Link addresses, and offsets of members by the members' names.

    `ldt` (mm_context_t.ldt, NO_LDT if there is none) is that of who may have an LDT's slot of its own;
    `per_cpu_moves` says whether KASLR moves per-CPU symbols (since Linux 6.15);
    `pointers` lead to struct mm_struct, or hold NULL; `efi` is efi_mm or 0.
    """

    CHECK: ClassVar[str] = "page-tables"

    tasks: int
    pid: int
    comm: int
    mm: int
    active_mm: int
    signal: int
    thread_node: int
    comm_size: int
    pgd: int
    thread_head: int
    loaded_mm: int
    capabilities: int
    ldt: int
    init_task: int
    init_mm: int
    efi: int
    pointers: tuple[int, ...]
    per_cpu_offset: int
    nr_cpu_ids: int
    cpu_tlbstate: int
    per_cpu_moves: bool
    pti: int


def compute(image: KernelImage) -> PageTablesGolden:
    """Of a kernel whose BTF describes tasks and their memory."""
    btf = image.btf
    tlb = require(image, "cpu_tlbstate")

    def task(member: str) -> int:
        return btf.offset("struct task_struct", member)

    try:
        has_ldt = btf.has_member("struct mm_struct", "context.ldt")
        return PageTablesGolden(
            tasks=task("tasks"),
            pid=task("pid"),
            comm=task("comm"),
            mm=task("mm"),
            active_mm=task("active_mm"),
            signal=task("signal"),
            thread_node=task("thread_node"),
            comm_size=btf.sizeof("struct task_struct", "comm"),
            pgd=btf.offset("struct mm_struct", "pgd"),
            thread_head=btf.offset("struct signal_struct", "thread_head"),
            loaded_mm=btf.offset("struct tlb_state", "loaded_mm"),
            capabilities=require(image, "boot_cpu_data") + btf.offset("struct cpuinfo_x86", "x86_capability"),
            ldt=btf.offset("struct mm_struct", "context.ldt") if has_ldt else NO_LDT,
            init_task=require(image, "init_task"),
            init_mm=require(image, "init_mm"),
            efi=image.symbols.get("efi_mm") or 0,
            pointers=tuple(va for name in _POINTERS if (va := image.symbols.get(name)) is not None),
            per_cpu_offset=require(image, "__per_cpu_offset"),
            nr_cpu_ids=require(image, "nr_cpu_ids"),
            cpu_tlbstate=tlb,
            per_cpu_moves=tlb >= image.text_va,
            pti=PTI,
        )
    except KeyError as why:
        raise UnsupportedError(f"tasks and their memory are not described: {why}") from None
