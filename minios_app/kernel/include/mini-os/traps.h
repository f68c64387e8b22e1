/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_TRAPS_H
#define MINIOS_TRAPS_H

#include <mini-os/types.h>

/* As trap_entry.S leaves it on the stack; from rip on it is Xen's bounce frame. */
struct pt_regs {
    unsigned long r15, r14, r13, r12, rbp, rbx;
    unsigned long r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    unsigned long orig_rax; /* the error code, or 0 */
    unsigned long rip, cs, eflags, rsp, ss;
};

#define TRAP_divide_error 0
#define TRAP_debug        1
#define TRAP_int3         3
#define TRAP_invalid_op   6
#define TRAP_gp_fault     13
#define TRAP_page_fault   14

#define TRAP_PF_PROT  0x1
#define TRAP_PF_WRITE 0x2
#define TRAP_PF_USER  0x4
#define TRAP_PF_FETCH 0x10

void trap_init(void);
void do_trap(struct pt_regs *regs, unsigned long vector);

void dump_regs(struct pt_regs *regs);
void stack_walk(void); /* of the caller */

/*
 * Not defined in a monitor.  A program that provokes traps on purpose defines it: true means that it has
 * changed `regs` so that execution can go on.
 */
bool trap_recover(struct pt_regs *regs, unsigned long vector, unsigned long cr2) __attribute__((weak));

#endif
