/* SPDX-License-Identifier: MIT */
/*
 * idt: golden values.
 */
#ifndef CHECKS_IDT_H
#define CHECKS_IDT_H

#include <tinyvmi/golden.h>

/* One vector of the IDT (struct gate_struct, arch/x86/include/asm/desc_defs.h). */
#define TV_GATE_HANDLERS 4
#define TV_IDT_VECTORS   256
struct tv_gate {
    uint32_t handler
        [TV_GATE_HANDLERS]; /* offsets from text_va that the kernel may install, the first always there; 0: no more */
    uint16_t bits; /* struct idt_bits: ist, type, dpl, p */
};
struct tv_idt {
    uint64_t table_va; /* idt_table */
    uint64_t alias_va; /* where the CPUs see it read-only (CPU_ENTRY_AREA_RO_IDT) */
    uint16_t segment; /* __KERNEL_CS */
    struct tv_gate gates[TV_IDT_VECTORS];
};

TV_GOLDEN(tv_idt_golden, struct tv_idt, TV_CHECK_IDT)

#endif
