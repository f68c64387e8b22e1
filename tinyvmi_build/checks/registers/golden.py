"""registers: what the kernel leaves in every processor's registers.

Sources: syscall_init() and identify_boot_cpu() (arch/x86/kernel/cpu/common.c),
idt_setup_early_traps() and load_idt() (arch/x86/kernel/idt.c); for PV guests
of Xen xen_pvmmu_arch_setup(), register_callback() (arch/x86/xen/setup.c) and
cvt_gate_to_trap() (arch/x86/xen/enlighten_pv.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.idt import golden as idt
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

KERNEL_CS, USER32_CS = 0x10, 0x23  # asm/segment.h
#: TF, IF, DF, IOPL, NT, AC: every kernel's MSR_SYSCALL_MASK has these, newer ones clear more.
SFMASK = 0x100 | 0x200 | 0x400 | 0x3000 | 0x4000 | 0x40000
#: asm/cpufeatures.h: X86_FEATURE_*, word * 32 + bit, the same from 5.10 on.
FEATURES = {"smep": 9 * 32 + 7, "smap": 9 * 32 + 20, "umip": 16 * 32 + 2, "pti": 7 * 32 + 11}
#: LDT_PGD_ENTRY (asm/pgtable_64_types.h), counted from 512, with 4 and with 5 levels.
LDT_SLOTS = (512 - 240, 512 - 112)
EXCEPTIONS = 32  # NUM_EXCEPTION_VECTORS
TRAP_ENTRY = 24  # struct trap_array_entry: orig, xen, ist_okay


@dataclass(frozen=True)
class PvTrap:
    """What a PV guest registers for a vector: link addresses of handlers, any of them, or none."""

    handlers: tuple[int, ...]
    flags: int


@dataclass(frozen=True)
class PvRegisters:
    """The same for a PV guest of Xen: traps by vector, link addresses of callbacks."""

    traps: tuple[PvTrap, ...]
    event_callback: int
    failsafe_callback: int
    syscall_callback: int


@dataclass(frozen=True)
class RegistersGolden(GoldenValues):
    """Link addresses of entry points (tuples: any of them), values, and the numbers of features.

    `pv` is None where the kernel's support of PV guests is not known, for the reason `pv_unsupported`.
    """

    CHECK: ClassVar[str] = "registers"

    idt_va: int
    idt_limit: int
    star: int
    sfmask: int
    lstar: tuple[int, ...]
    cstar: tuple[int, ...]
    sysenter: tuple[int, ...]
    capability_va: int
    ldt_slot: tuple[int, int]
    smep: int
    smap: int
    umip: int
    pti: int
    pv: PvRegisters | None
    pv_unsupported: str


def _present(image: KernelImage, *names: str) -> tuple[int, ...]:
    return tuple(va for name in names if (va := image.symbols.get(name)) is not None)


def compute(image: KernelImage) -> RegistersGolden:
    """Of a kernel whose BTF describes the processor's capabilities."""
    try:
        capabilities = image.btf.offset("struct cpuinfo_x86", "x86_capability")
    except KeyError as why:
        raise UnsupportedError(f"the processor's capabilities are not described: {why}") from None
    table = idt.compute(image)
    pv, pv_unsupported = None, ""
    try:
        pv = _pv(image, table.gates)
    except UnsupportedError as why:
        pv_unsupported = f"as a PV guest of Xen: {why}"
    return RegistersGolden(
        idt_va=table.alias_va,
        idt_limit=16 * idt.VECTORS - 1,
        star=(USER32_CS << 16 | KERNEL_CS) << 32,
        sfmask=SFMASK,
        lstar=(require(image, "entry_SYSCALL_64"),),
        # Which of them depends on the boot's command line since 6.7 (ia32_emulation=).
        cstar=_present(image, "entry_SYSCALL_compat", "ignore_sysret", "entry_SYSCALL32_ignore"),
        sysenter=_present(image, "entry_SYSENTER_compat"),
        capability_va=require(image, "boot_cpu_data") + capabilities,
        ldt_slot=LDT_SLOTS,
        **FEATURES,
        pv=pv,
        pv_unsupported=pv_unsupported,
    )


def _pv(image: KernelImage, gates: tuple[idt.Gate, ...]) -> PvRegisters:
    handlers = _trap_handlers(image)
    early = require(image, "early_idt_handler_array")
    early_stride = (image.symbols.next_address(early) - early) // EXCEPTIONS
    xen_early = require(image, "xen_early_idt_handler_array")
    xen_stride = (image.symbols.next_address(xen_early) - xen_early) // EXCEPTIONS
    unknown = _present(image, "xen_asm_exc_xen_unknown_trap")
    traps = []
    for vector, gate in enumerate(gates):
        handler, bits = gate.handlers[0], gate.bits
        known: tuple[int, ...] = ()
        if handler in handlers:
            known = (handlers[handler],)
        elif handler == early + early_stride * vector and xen_stride in (8, 12):
            known = (xen_early + xen_stride * vector, *unknown)
        elif vector < EXCEPTIONS:
            known = unknown
        # cvt_gate_to_trap(): DPL, and events masked for an interrupt gate.
        flags = (bits >> 13 & 3) | (4 if bits >> 8 & 0x1F == 0xE else 0)
        traps.append(PvTrap(known, flags))
    return PvRegisters(
        traps=tuple(traps),
        event_callback=require(image, "xen_asm_exc_xen_hypervisor_callback"),
        failsafe_callback=require(image, "xen_failsafe_callback"),
        syscall_callback=require(image, "xen_entry_SYSCALL_64"),
    )


def _trap_handlers(image: KernelImage) -> dict[int, int]:
    """Native handler → the one that a PV guest registers, from `trap_array`."""
    at = require(image, "trap_array")
    end = image.symbols.next_address(at)
    found: dict[int, int] = {}
    while at + TRAP_ENTRY <= end:
        native, xen, ist = image.u64(at), image.u64(at + 8), image.u64(at + 16)
        if native < image.text_va or xen < image.text_va or ist > 1:
            break  # what follows the table up to the next symbol
        found[native] = xen
        at += TRAP_ENTRY
    if len(found) < 15:
        raise UnsupportedError("its table of trap handlers is not where this generator expects it")
    return found
