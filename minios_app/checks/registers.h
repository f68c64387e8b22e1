/* SPDX-License-Identifier: MIT */
/*
 * What a kernel leaves in the registers of every processor once it has booted
 * (checks/registers/golden.py names the sources).  Code addresses are offsets from
 * _text, as in struct tv_gate; lists end with 0.
 */
#ifndef CHECKS_REGISTERS_H
#define CHECKS_REGISTERS_H

#include <tinyvmi/golden.h>

#define TV_REG_CHOICES 4

struct tv_pv_trap { /* as xen_load_idt() registers it */
    uint32_t handler[TV_REG_CHOICES]; /* none: the vector is not registered */
    uint8_t flags;                    /* of struct trap_info */
};

struct tv_registers {
    uint64_t idt_va; /* CPU_ENTRY_AREA_RO_IDT */
    uint32_t idt_limit;
    uint64_t star;   /* MSR_STAR */
    uint64_t sfmask; /* flags that must be cleared on entry; more may be */
    uint32_t lstar[TV_REG_CHOICES];
    uint32_t cstar[TV_REG_CHOICES];    /* or 0 in the register: no 32-bit system calls */
    uint32_t sysenter[TV_REG_CHOICES]; /* or 0 in the register */
    uint64_t capability_va; /* boot_cpu_data.x86_capability, u32 words */
    uint16_t smep, smap, umip, pti;    /* numbers of capabilities */
    uint16_t ldt_slot[2];   /* entry of a top-level table that is a process's own: with 4 levels, with 5 */
    /* Of a kernel that runs as a PV guest; NULL with the reason if it is not known how. */
    const struct tv_pv_trap *traps; /* [256] */
    const char *pv_reason;
    uint32_t event_callback, failsafe_callback, syscall_callback;
};

TV_GOLDEN(tv_registers_golden, struct tv_registers, TV_CHECK_REGISTERS)

#endif
