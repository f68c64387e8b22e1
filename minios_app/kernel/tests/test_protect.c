/* SPDX-License-Identifier: MIT */
#include <mini-os/mm.h>
#include <mini-os/sched.h>
#include <mini-os/traps.h>
#include <mini-os/xmalloc.h>

#include "../internal.h"
#include "smoke.h"

extern uintptr_t __stack_chk_guard;

static const char read_only[] = "constant";
static unsigned char data_ret[64] = { 0xc3 };
static unsigned char bss_ret[64];

static void write_byte(void *p)
{
    *(volatile char *)p = 1;
}

static void read_byte(void *p)
{
    (void)*(volatile char *)p;
}

static void call(void *p)
{
    ((void (*)(void))p)();
}

static bool faults(void (*fn)(void *), const void *p, unsigned long error)
{
    struct caught c;

    return catch_trap(fn, (void *)p, &c) && c.vector == TRAP_page_fault && (c.error & error) == error &&
           c.cr2 == (unsigned long)p;
}

static void text_and_rodata(void)
{
    CHECK(faults(write_byte, _text, TRAP_PF_WRITE | TRAP_PF_PROT));
    CHECK(faults(write_byte, (void *)write_byte, TRAP_PF_WRITE | TRAP_PF_PROT));
    CHECK(faults(write_byte, hypercall_page, TRAP_PF_WRITE | TRAP_PF_PROT));
    CHECK(faults(write_byte, read_only, TRAP_PF_WRITE | TRAP_PF_PROT));
    CHECK(faults(write_byte, (void *)((unsigned long)_erodata - 1), TRAP_PF_WRITE | TRAP_PF_PROT));
}

/* One `ret` in each kind of memory that may be written or was only meant to be read. */
static void execution(void)
{
    unsigned char on_stack[16] = { 0xc3 }, *heap = malloc(16);
    unsigned char *page = (unsigned char *)alloc_page(), *mapped;
    static const unsigned char rodata_ret[] = { 0xc3 };
    unsigned long mfn = virt_to_mfn(page);

    CHECK(page_nx && heap && page);
    *heap = *page = bss_ret[0] = 0xc3;
    mapped = map_frames(&mfn, 1);
    CHECK(mapped && *mapped == 0xc3);
    CHECK(faults(call, data_ret, TRAP_PF_FETCH));
    CHECK(faults(call, bss_ret, TRAP_PF_FETCH));
    CHECK(faults(call, rodata_ret, TRAP_PF_FETCH));
    CHECK(faults(call, on_stack, TRAP_PF_FETCH));
    CHECK(faults(call, heap, TRAP_PF_FETCH));
    CHECK(faults(call, page, TRAP_PF_FETCH));
    CHECK(faults(call, mapped, TRAP_PF_FETCH));
    CHECK(faults(call, (void *)start_info.mfn_list, TRAP_PF_FETCH));
    CHECK(faults(call, pt_base, TRAP_PF_FETCH));
    CHECK(!unmap_frames((unsigned long)mapped, 1));
    free_page(page);
    free(heap);
}

/* Every mapping of this domain, as the page tables have it. */
static void no_page_is_both(void)
{
    unsigned long writable = 0, executable = 0;

    for (unsigned long va = 0; va < start_info.nr_pages << PAGE_SHIFT; va += PAGE_SIZE) {
        pgentry_t pte = pte_read(va);
        bool w = pte & _PAGE_RW, x = (pte & _PAGE_PRESENT) && !(pte & _PAGE_NX);

        CHECK(!(w && x));
        writable += w;
        executable += x;
    }
    CHECK(executable == (unsigned long)(_etext - _text) >> PAGE_SHIFT);
    CHECK(writable > 1000);
}

static void null(void)
{
    CHECK(faults(read_byte, NULL, 0));
    CHECK(faults(write_byte, (void *)0xff8, TRAP_PF_WRITE));
    CHECK(faults(call, NULL, 0));
    CHECK(!(pte_read(0) & _PAGE_PRESENT));
}

static void guard_pages(void)
{
    CHECK(faults(write_byte, (char *)get_current()->stack - 1, TRAP_PF_WRITE));
    CHECK(faults(write_byte, boot_stack_guard + PAGE_SIZE - 1, TRAP_PF_WRITE));
    CHECK(faults(write_byte, irq_stack_guard + PAGE_SIZE - 1, TRAP_PF_WRITE));
    CHECK(faults(write_byte, trap_stack_guard + PAGE_SIZE - 1, TRAP_PF_WRITE));
    CHECK(faults(read_byte, (char *)get_current()->stack + STACK_SIZE, 0));
}

static unsigned long deepest;
static volatile int bottom = -1;

static int __attribute__((noinline)) recurse(volatile int depth)
{
    volatile char frame[2000];

    deepest = (unsigned long)frame;
    frame[0] = (char)depth;
    if (depth == bottom)
        return 0;
    return recurse(depth + 1) + frame[0];
}

static void start_recursion(void *unused)
{
    (void)unused;
    recurse(0);
}

/* The overflow is found while there is still room for the trap's frame. */
static void stack_overflow(void)
{
    struct caught c;

    CHECK(catch_trap(start_recursion, NULL, &c));
    CHECK(c.vector == TRAP_invalid_op && c.rip == (unsigned long)stack_overflow_trap);
    CHECK(deepest > get_current()->stack && deepest < get_current()->stack + 8192);
    CHECK(catch_trap(start_recursion, NULL, &c)); /* and again: the limit is back in place */
}

static void ud2(void *unused)
{
    (void)unused;
    __asm__ __volatile__("ud2");
}

static void divide(void *unused)
{
    uint32_t eax = 1, edx = 0;

    (void)unused;
    __asm__ __volatile__("divl %2" : "+a"(eax), "+d"(edx) : "r"(0));
}

static void breakpoint(void *unused)
{
    (void)unused;
    __asm__ __volatile__("int3");
}

static void load_bad(void *unused)
{
    (void)unused;
    (void)*(volatile char *)0x8000000000000000UL; /* not canonical */
}

static void other_traps(void)
{
    struct caught c;

    CHECK(catch_trap(ud2, NULL, &c) && c.vector == TRAP_invalid_op);
    CHECK(catch_trap(divide, NULL, &c) && c.vector == TRAP_divide_error);
    CHECK(catch_trap(breakpoint, NULL, &c) && c.vector == TRAP_int3);
    CHECK(catch_trap(load_bad, NULL, &c) && c.vector == TRAP_gp_fault);
    CHECK(!irqs_disabled());
}

static void symbols(void)
{
    unsigned long offset, size;
    const char *name = symbol_lookup((unsigned long)stack_overflow + 3, &offset, &size);

    CHECK(name && !strcmp(name, "stack_overflow") && offset == 3 && size > 3);
    name = symbol_lookup((unsigned long)_text, &offset, &size);
    CHECK(name && !strcmp(name, "_start") && offset == 0);
    CHECK(!symbol_lookup(0, &offset, &size) && !symbol_lookup((unsigned long)_etext, &offset, &size));
    CHECK(!symbol_lookup((unsigned long)data_ret, &offset, &size));
}

static void canary(void)
{
    CHECK(__stack_chk_guard >> 8 && !(__stack_chk_guard & 0xff));
    printk("# canary %#lx\n", __stack_chk_guard);
}

SMOKE_TESTS(protect) = {
    { "protect: text and constants cannot be written", text_and_rodata },
    { "protect: data, bss, stack, heap, mappings cannot be executed", execution },
    { "protect: no page is writable and executable", no_page_is_both },
    { "protect: NULL", null },
    { "protect: guard pages", guard_pages },
    { "protect: stack overflow is found in time", stack_overflow },
    { "protect: other traps", other_traps },
    { "protect: the symbol table", symbols },
    { "protect: a canary is set", canary },
    SMOKE_END,
};
