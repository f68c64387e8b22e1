/* SPDX-License-Identifier: MIT */
/* What the files of the base share and a monitor has no use for. */
#ifndef BASE_INTERNAL_H
#define BASE_INTERNAL_H

#include <mini-os/hypervisor.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/types.h>
#include <xen/event_channel.h>

/* Image layout (toolchain/monitor.lds) */
extern char _text[], _etext[], _erodata[], _edata[], _end[];

/* entry.S */
extern char boot_stack_guard[], boot_stack[], boot_stack_top[];
extern char irq_stack_guard[], irq_stack[], irq_stack_top[];
extern char trap_stack_guard[], trap_stack[], trap_stack_top[];
extern char shared_info_page[];

/* trap_entry.S */
extern unsigned long stack_limit;
extern char stack_overflow_trap[];
extern char hypervisor_callback[], failsafe_callback[];

/* switch.S */
void arch_switch_threads(struct thread *prev, struct thread *next);
extern char thread_starter[];

/* app_main: the program on top; called on the boot stack, must not wait. */
int app_main(start_info_t *si) __attribute__((weak));

/* crash.c: print why and where, then end the domain as crashed. */
struct fault {
    const char *what;
    bool called; /* rip is the return address of a call that reported the fault */
    bool has_address;
    unsigned long address; /* CR2 */
};
void crash_report(struct pt_regs *regs, const struct fault *fault) __attribute__((noreturn));

/* symbols.c: the function that holds `addr`; NULL if none. */
const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size);

/* page_table.c: mappings to be changed together; one hypercall each MMU_BATCH. */
#define MMU_BATCH 256
extern mmu_update_t mmu_batch[MMU_BATCH];
void tlb_flush_local(void);
pgentry_t pte_read(unsigned long va); /* 0 without a table */

/* console.c: write to this ring from now on; NULL: to Xen's own console. */
struct xencons_interface;
void console_attach(struct xencons_interface *interface, evtchn_port_t evtchn);

/* stacks.c: lowest address of a new stack in the kernel area, a guard page below; 0 without memory. */
unsigned long stack_alloc(void);
void stack_free(unsigned long stack);

/* pages.c */
void pages_init(unsigned long start_pfn, unsigned long max_pfn);
bool pages_ready(void);

#endif
