"""idt: the gates that the kernel installs, from the tables in its own file.

Source: arch/x86/kernel/idt.c.  `idt_setup_from_table()` copies the tables
below in this order, later entries replacing earlier ones, over the early
handlers of `idt_setup_early_handler()`; `idt_setup_apic_and_irq_gates()` fills
what is left from the entry stubs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

TABLES = ("early_idts", "early_pf_idts", "def_idts", "ist_idts", "ia32_idt", "apic_idts")
FIRST_EXTERNAL_VECTOR = 0x20  # asm/irq_vectors.h
VECTORS = 256
INTERRUPT_GATE = 0x8E00  # struct idt_bits: type 0xE, dpl 0, present
KERNEL_CS = 0x10

#: Vectors that a hypervisor's guest support may install at boot (alloc_intr_gate, sysvec_install).
OPTIONAL = {
    0xF3: ("asm_sysvec_xen_hvm_callback", "asm_sysvec_kvm_asyncpf_interrupt", "asm_sysvec_hyperv_callback",
           "asm_sysvec_acrn_hv_callback"),
    0xEE: ("asm_sysvec_hyperv_reenlightenment",),
    0xED: ("asm_sysvec_hyperv_stimer0",),
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """Link addresses of the handlers that may stand in a gate, the usual one first; struct idt_bits."""

    handlers: tuple[int, ...]
    bits: int


@dataclass(frozen=True)
class IdtGolden(GoldenValues):
    """The gates by vector; `alias_va` is CPU_ENTRY_AREA_RO_IDT, which KASLR does not move."""

    CHECK: ClassVar[str] = "idt"

    table_va: int
    alias_va: int
    segment: int
    gates: tuple[Gate, ...]


def _table_gates(image: KernelImage) -> dict[int, tuple[int, int]]:
    """vector → (handler, bits) from the `struct idt_data` arrays in .init.rodata."""
    btf = image.btf
    size = btf.sizeof("idt_data")
    at = {field: btf.offset("idt_data", field) for field in ("vector", "bits", "addr")}
    gates: dict[int, tuple[int, int]] = {}
    for name in TABLES:
        va = image.symbols.get(name)
        if va is None:
            continue
        end = image.symbols.next_address(va)
        while va + size <= end:
            handler = image.u64(va + at["addr"])
            if handler == 0:
                break  # padding up to the next symbol
            vector, bits = image.u32(va + at["vector"]), image.u16(va + at["bits"])
            if vector >= VECTORS:
                raise UnsupportedError(f"{name} names vector {vector}")
            gates[vector] = (handler, bits)
            va += size
    if 14 not in gates or 2 not in gates:
        raise UnsupportedError("the kernel's IDT tables are not where this generator expects them")
    return gates


def _stub_stride(image: KernelImage, va: int, first: int) -> int:
    """Bytes from one entry stub to the next; each begins `[endbr64] push imm8 vector`."""
    for stride in (8, 16):
        for skip in (0, 4):
            pushes = [image.read(va + skip + stride * i, 2) for i in range(3)]
            if all(push == bytes([0x6A, first + i & 0xFF]) for i, push in enumerate(pushes)):
                return stride
    raise UnsupportedError("the interrupt entry stubs do not have the form that this generator knows")


def _dense(image: KernelImage, gates: dict[int, tuple[int, int]]) -> tuple[Gate, ...]:
    irq, spurious = require(image, "irq_entries_start"), require(image, "spurious_entries_start")
    stride = _stub_stride(image, irq, FIRST_EXTERNAL_VECTOR)
    first_system = FIRST_EXTERNAL_VECTOR + (spurious - irq) // stride
    if _stub_stride(image, spurious, first_system) != stride:
        raise UnsupportedError("the two kinds of entry stubs differ in size")

    early = require(image, "early_idt_handler_array")
    early_stride = (image.symbols.next_address(early) - early) // FIRST_EXTERNAL_VECTOR
    if early_stride not in (9, 13):  # EARLY_IDT_HANDLER_SIZE without and with ENDBR, asm/segment.h
        raise UnsupportedError(f"the early exception handlers are {early_stride} bytes apart")

    out = []
    for vector in range(VECTORS):
        if vector in gates:
            handler, bits = gates[vector]
            handlers = [handler]
        elif vector < FIRST_EXTERNAL_VECTOR:
            # Never replaced: it keeps pointing at freed init text.
            handlers, bits = [early + early_stride * vector], INTERRUPT_GATE
        else:
            bits = INTERRUPT_GATE
            stub = irq + stride * (vector - FIRST_EXTERNAL_VECTOR)
            if vector >= first_system:
                stub = spurious + stride * (vector - first_system)
            handlers = [stub]
        for name in OPTIONAL.get(vector, ()) if vector not in gates else ():
            if (va := image.symbols.get(name)) is not None:
                handlers.append(va)
        out.append(Gate(tuple(handlers[:4]), bits))
    return tuple(out)


def compute(image: KernelImage) -> IdtGolden:
    """Of a kernel; CPU_ENTRY_AREA_RO_IDT is from asm/cpu_entry_area.h."""
    try:
        gates = _table_gates(image)
    except KeyError as why:
        raise UnsupportedError(f"struct idt_data is not described: {why}") from None
    return IdtGolden(
        table_va=require(image, "idt_table"),
        alias_va=0xFFFFFE0000000000,
        segment=KERNEL_CS,
        gates=_dense(image, gates),
    )
