/* SPDX-License-Identifier: MIT */
/* The trap table, and what each trap means: the end, unless the program expected it. */
#include <mini-os/lib.h>
#include <mini-os/traps.h>

#include "internal.h"

#define MASK_EVENTS 4 /* trap_info.flags */

#define TRAPS(X)                                \
    X(0, divide_error, "division error")        \
    X(1, debug, "debug trap")                   \
    X(3, int3, "breakpoint")                    \
    X(4, overflow, "overflow")                  \
    X(5, bounds, "bound range exceeded")        \
    X(6, invalid_op, "invalid instruction")     \
    X(7, no_device, "FPU not available")        \
    X(10, invalid_tss, "invalid TSS")           \
    X(11, no_segment, "segment not present")    \
    X(12, stack_error, "stack segment fault")   \
    X(13, gp_fault, "general protection fault") \
    X(14, page_fault, "page fault")             \
    X(16, copro_error, "x87 error")             \
    X(17, alignment_check, "alignment check")   \
    X(18, machine_check, "machine check")       \
    X(19, simd_error, "SIMD error")

#define X(vector, name, text) extern char trap_##name[];
TRAPS(X)
#undef X

void trap_init(void)
{
    trap_info_t table[] = {
#define X(vector, name, text) { vector, MASK_EVENTS, FLAT_KERNEL_CS, (unsigned long)trap_##name },
        TRAPS(X)
#undef X
            { 0, 0, 0, 0 },
    };

    table[2].flags |= 3; /* int3 is an instruction of ring 3, where a PV kernel runs */
    if (HYPERVISOR_set_trap_table(table))
        HYPERVISOR_shutdown(SHUTDOWN_crash);
    HYPERVISOR_set_callbacks((unsigned long)hypervisor_callback, (unsigned long)failsafe_callback, 0);
}

static const char *trap_text(unsigned long vector)
{
    switch (vector) {
#define X(vector, name, text) \
    case vector: return text;
        TRAPS(X)
#undef X
    }
    return "unknown trap";
}

/* Write access, fetch, … and what lies at the address: the first question of whoever reads the report. */
static void describe_page_fault(char *buf, size_t size, unsigned long error, unsigned long address)
{
    const char *access = error & TRAP_PF_FETCH   ? "instruction fetch from"
                         : error & TRAP_PF_WRITE ? "write to"
                                                 : "read of";
    const char *page = error & TRAP_PF_PROT ? "a page that forbids it" : "an unmapped page";
    const char *hint = "";

    if (address < PAGE_SIZE)
        hint = " (NULL pointer)";
    else if (address >= VIRT_KERNEL_AREA && address < VIRT_DEMAND_AREA)
        hint = " (area of thread stacks: guard page?)";
    else if (address >= (unsigned long)_text && address < (unsigned long)_etext)
        hint = " (kernel text)";
    else if (address >= (unsigned long)_etext && address < (unsigned long)_erodata)
        hint = " (read-only data)";
    (void)snprintf(buf, size, "page fault: %s %s, error code %#lx%s", access, page, error, hint);
}

void do_trap(struct pt_regs *regs, unsigned long vector)
{
    struct fault fault = { .what = trap_text(vector) };
    unsigned long cr2 = this_vcpu_info()->arch.cr2;
    char text[160];

    if (trap_recover && trap_recover(regs, vector, cr2))
        return;

    if (vector == TRAP_page_fault) {
        describe_page_fault(text, sizeof(text), regs->orig_rax, cr2);
        fault.what = text;
        fault.has_address = true;
        fault.address = cr2;
    } else if (regs->rip == (unsigned long)stack_overflow_trap || regs->rip == (unsigned long)do_exit) {
        fault.what = regs->rip == (unsigned long)do_exit
                         ? "BUG"
                         : "stack overflow: the stack's reserve has been reached";
        fault.called = true;
        regs->rip = *(unsigned long *)regs->rsp;
        regs->rsp += sizeof(unsigned long);
    } else if (regs->orig_rax) {
        (void)snprintf(text, sizeof(text), "%s, error code %#lx", fault.what, regs->orig_rax);
        fault.what = text;
    }
    crash_report(regs, &fault);
}

void failsafe_report(void) __attribute__((noreturn));
void failsafe_report(void)
{
    printk("\nXen could not return to this domain (failsafe callback)\n");
    do_exit();
}
