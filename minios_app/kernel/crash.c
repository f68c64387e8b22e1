/* SPDX-License-Identifier: MIT */
/* The last words of a domain: why, registers, stack trace; then SHUTDOWN_crash. */
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/traps.h>

#include "internal.h"

#define MAX_FRAMES 24
#define FLUSH_MS   2000

static int crashing;

static void crash_shutdown(void) __attribute__((noreturn));
static void crash_shutdown(void)
{
    console_flush(FLUSH_MS);
    for (;;)
        HYPERVISOR_shutdown(SHUTDOWN_crash);
}

/* A report that itself runs into trouble must not start over. */
static void crash_begin(void)
{
    local_irq_disable();
    if (crashing++)
        crash_shutdown();
    console_enter_crash();
}

static void print_location(const char *label, unsigned long addr, bool is_return_address)
{
    unsigned long offset, size;
    /* Behind the call of a function that never returns, the next function may begin. */
    const char *name = symbol_lookup(addr - is_return_address, &offset, &size);

    if (name)
        printk("%s%#018lx %s+%#lx/%#lx\n", label, addr, name, offset + is_return_address, size);
    else
        printk("%s%#018lx\n", label, addr);
}

/* Only a mapped, aligned pair of words is a frame: the chain may be the very thing that is broken. */
static bool frame_readable(unsigned long frame)
{
    unsigned long last = frame + 2 * sizeof(unsigned long) - 1;

    if (frame < (unsigned long)_text || frame >= VIRT_DEMAND_AREA || frame % sizeof(unsigned long))
        return false;
    return (pte_read(frame) & _PAGE_PRESENT) && (pte_read(last) & _PAGE_PRESENT);
}

static void print_chain(unsigned long frame)
{
    for (int i = 0; i < MAX_FRAMES && frame_readable(frame); i++) {
        const unsigned long *words = (const unsigned long *)frame;

        if (!words[1])
            break;
        print_location("  ", words[1], true);
        if (words[0] <= frame)
            break;
        frame = words[0];
    }
}

void stack_walk(void)
{
    printk("Stack trace:\n");
    print_chain((unsigned long)__builtin_frame_address(0));
}

void dump_regs(struct pt_regs *regs)
{
    printk("RSP: %#018lx  RFLAGS: %#010lx  CS: %04lx  SS: %04lx\n", regs->rsp, regs->eflags,
           regs->cs & 0xffff, regs->ss & 0xffff);
    printk("RAX: %016lx RBX: %016lx RCX: %016lx\n", regs->rax, regs->rbx, regs->rcx);
    printk("RDX: %016lx RSI: %016lx RDI: %016lx\n", regs->rdx, regs->rsi, regs->rdi);
    printk("RBP: %016lx R08: %016lx R09: %016lx\n", regs->rbp, regs->r8, regs->r9);
    printk("R10: %016lx R11: %016lx R12: %016lx\n", regs->r10, regs->r11, regs->r12);
    printk("R13: %016lx R14: %016lx R15: %016lx\n", regs->r13, regs->r14, regs->r15);
}

static const char *context_name(void)
{
    if (in_callback)
        return "event handler";
    return get_current() ? get_current()->name : "boot";
}

void crash_report(struct pt_regs *regs, const struct fault *fault)
{
    crash_begin();
    printk("\n*** CRASH: %s\n", fault->what);
    if (fault->has_address)
        printk("CR2: %#018lx\n", fault->address);
    printk("Thread: %s\n", context_name());
    print_location("RIP: ", regs->rip, fault->called);
    dump_regs(regs);
    printk("Stack trace:\n");
    print_location("  ", regs->rip, fault->called);
    print_chain(regs->rbp);
    printk("*** END OF CRASH REPORT\n");
    crash_shutdown();
}

void stop_kernel(void)
{
    console_flush(FLUSH_MS);
    local_irq_disable();
}
