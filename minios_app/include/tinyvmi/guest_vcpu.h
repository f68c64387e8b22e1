/* SPDX-License-Identifier: MIT */
/*
 * Registers of the target's virtual processors, where the platform has them:
 * in FLASK mode if the policy grants it, of a memory image if it was saved with
 * them.  Everything else of the core does without.
 */
#ifndef TINYVMI_GUEST_VCPU_H
#define TINYVMI_GUEST_VCPU_H

#include <tinyvmi/guest_mem.h>

#define TV_VCPUS_MAX 512 /* of one target that are read; Xen's own bound is lower for HVM */

enum tv_register {
    TV_REG_RIP,
    TV_REG_CPL, /* 0: it runs, or was interrupted in, the kernel */
    TV_REG_CR0,
    TV_REG_CR3,
    TV_REG_CR4,
    TV_REG_EFER,
    TV_REG_DR0,
    TV_REG_DR1,
    TV_REG_DR2,
    TV_REG_DR3,
    TV_REG_DR7,
    TV_REG_IDT_BASE,
    TV_REG_IDT_LIMIT,
    TV_REG_STAR,
    TV_REG_LSTAR,
    TV_REG_CSTAR,
    TV_REG_SFMASK,
    TV_REG_SYSENTER_CS,
    TV_REG_SYSENTER_EIP,
    TV_REG_EVENT_CALLBACK, /* of a PV target, as are the two below */
    TV_REG_FAILSAFE_CALLBACK,
    TV_REG_SYSCALL_CALLBACK,
    TV_REG_COUNT,
};

#define TV_TRAPS 256

struct tv_trap { /* struct trap_info (public/arch-x86/xen.h), of which Xen keeps one a vector */
    uint64_t address;
    uint16_t cs;
    uint8_t flags; /* bits 0..1: DPL, bit 2: events are masked on entry */
};

struct guest_vcpu {
    bool pv;        /* traps and callbacks are registered with Xen; there is no IDT and no LSTAR */
    bool has_traps;
    uint32_t known; /* bit I: value[I] is that of enum tv_register I */
    uint64_t value[TV_REG_COUNT];
    struct tv_trap traps[TV_TRAPS]; /* by vector, if has_traps */
};

/*
 * How many vCPUs to ask for: one more than the highest number.  Negative errno
 * if the platform has no registers or may not read them.
 */
int guest_vcpus(struct guest_mem *gm);

/*
 * The registers of vCPU `number` at one moment.  0; -TV_ENOENT: it is not there
 * or does not run (offline); another negative errno: they cannot be read.
 */
int guest_vcpu_read(struct guest_mem *gm, uint32_t number, struct guest_vcpu *vcpu);

#endif
