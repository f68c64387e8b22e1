/* SPDX-License-Identifier: MIT */
/*
 * registers: what enters the kernel on every processor (IDTR, the system-call
 * MSRs; for a PV guest the traps and callbacks that Xen has), what protects it
 * (CR0, CR4, EFER), under which page tables it runs, and its breakpoints.
 *
 * Offline processors have no registers to compare; one that comes up is
 * compared from the next scan on.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/guest_vcpu.h>

#include "registers.h"

#define CR0_PE  (UINT64_C(1) << 0)
#define CR0_WP  (UINT64_C(1) << 16)
#define CR0_PG  (UINT64_C(1) << 31)
#define CR4_UMIP (UINT64_C(1) << 11)
#define CR4_SMEP (UINT64_C(1) << 20)
#define CR4_SMAP (UINT64_C(1) << 21)
#define EFER_SCE (UINT64_C(1) << 0)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NX  (UINT64_C(1) << 11)

#define KERNEL_HALF 256 /* the first entry of a top-level table that belongs to the kernel */
#define ENTRIES     512
#define XEN_SLOTS   16 /* from KERNEL_HALF on: Xen's own in a PV guest's tables (public/arch-x86/xen-x86_64.h) */
/* Accessed and dirty differ without meaning. */
#define ENTRY_MASK (~UINT64_C(0x60))
#define ADDRESS    UINT64_C(0x000ffffffffff000)
#define PTI_USER   (UINT64_C(1) << 12) /* of CR3: the user's half of a pair of tables */

static struct guest_vcpu vcpu;
static uint64_t pinned; /* bits of CR4 that some processor has had: the kernel never takes one back */
static bool refused;    /* the platform has no registers for us: not asked again */
static uint64_t kernel_half[ENTRIES], other_half[ENTRIES];

static int attach(struct tv_kernel *k)
{
    (void)k;
    pinned = 0;
    refused = false;
    return 0;
}

static void detach(struct tv_kernel *k)
{
    (void)k;
}

/* "vcpu3.IDTR", which lasts as long as the finding that it names. */
static const char *label(const struct tv_result *res, uint32_t number, const char *name)
{
    static char labels[TV_FINDINGS_MAX][32];
    char *at = labels[res->findings % TV_FINDINGS_MAX];
    const char *start = at, *end = at + sizeof(labels[0]) - 1;
    uint32_t scale = 1;

    for (const char *c = "vcpu"; *c; c++)
        *at++ = *c;
    while (number / scale >= 10)
        scale *= 10;
    for (; scale; scale /= 10)
        *at++ = (char)('0' + number / scale % 10);
    *at++ = '.';
    while (*name && at < end)
        *at++ = *name++;
    *at = 0;
    return start;
}

static bool has(enum tv_register reg)
{
    return vcpu.known >> reg & 1;
}

static void differ(struct tv_result *res, const char *name, uint32_t number, uint64_t expected, uint64_t actual,
                   const char *note)
{
    tv_find(res, "register", label(res, number, name), 0, actual, &expected, 8, &actual, 8, note);
}

static void equal(struct tv_result *res, const char *name, uint32_t number, enum tv_register reg, uint64_t expected)
{
    if (!has(reg))
        return;
    res->units++;
    if (vcpu.value[reg] != expected)
        differ(res, name, number, expected, vcpu.value[reg], NULL);
}

/* `required` bits have to be set; others may be. */
static void bits(struct tv_result *res, const char *name, uint32_t number, enum tv_register reg, uint64_t required)
{
    if (!has(reg))
        return;
    res->units++;
    if ((vcpu.value[reg] & required) != required)
        differ(res, name, number, vcpu.value[reg] | required, vcpu.value[reg], "protecting bits are cleared");
}

static bool leads_to(struct tv_kernel *k, const uint32_t *choices, uint64_t va)
{
    for (uint32_t i = 0; i < TV_REG_CHOICES && choices[i]; i++)
        if (va == k->profile->text_va + k->delta + choices[i])
            return true;
    return false;
}

static void entry(struct tv_kernel *k, struct tv_result *res, const char *name, uint32_t number,
                  enum tv_register reg, const uint32_t *choices, bool may_be_none)
{
    uint64_t text = k->profile->text_va + k->delta;

    if (!has(reg))
        return;
    res->units++;
    if (!leads_to(k, choices, vcpu.value[reg]) && !(may_be_none && vcpu.value[reg] == 0))
        differ(res, name, number, choices[0] ? text + choices[0] : 0, vcpu.value[reg],
               "not where this kernel is entered");
}

/* One capability of boot_cpu_data; -1 if it cannot be read. */
static int capability(struct tv_kernel *k, const struct tv_registers *g, uint32_t number)
{
    uint32_t word;

    if (!tv_read_va(k, g->capability_va + k->delta + number / 32 * 4, &word, sizeof(word)))
        return -1;
    return word >> (number % 32) & 1;
}

/*
 * CR4.  The kernel sets these bits where the processor has them and pins them
 * (cr4_pinned_bits).  What it says of the processor can only ask for more than
 * what has been seen set.
 */
static void control4(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number)
{
    static const uint64_t bit[3] = { CR4_SMEP, CR4_SMAP, CR4_UMIP };
    const uint16_t feature[3] = { g->smep, g->smap, g->umip };
    uint64_t required = pinned;

    if (!has(TV_REG_CR4))
        return;
    for (uint32_t i = 0; i < 3; i++) {
        int there = capability(k, g, feature[i]);

        if (there < 0)
            res->missing++;
        if (there > 0)
            required |= bit[i];
    }
    bits(res, "CR4", number, TV_REG_CR4, required);
    pinned |= vcpu.value[TV_REG_CR4] & (CR4_SMEP | CR4_SMAP | CR4_UMIP);
}

/* A breakpoint in the kernel's half of the address space: code that runs there at an instruction of its choice. */
static void breakpoints(struct tv_result *res, uint32_t number)
{
    static const char *const names[4] = { "DR0", "DR1", "DR2", "DR3" };

    if (!has(TV_REG_DR7))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t at = vcpu.value[TV_REG_DR0 + i];

        res->units++;
        if ((vcpu.value[TV_REG_DR7] >> (2 * i) & 3) && at >> 63)
            differ(res, names[i], number, 0, at, "a breakpoint in the kernel");
    }
}

/*
 * CR3 is known if its table is the kernel's own, or a process's: then its upper
 * half holds the kernel's entries (pgd_ctor(), arch/x86/mm/pgtable.c), so that
 * the processor runs what the other checks have seen.
 */
static void page_tables(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number)
{
    uint64_t root = vcpu.value[TV_REG_CR3] & ADDRESS;
    uint32_t own = g->ldt_slot[k->levels == 5];

    if (!has(TV_REG_CR3))
        return;
    if ((root & PTI_USER) && !vcpu.pv && capability(k, g, g->pti) > 0)
        root &= ~PTI_USER;
    res->units++;
    if (root == k->root_pa)
        return;
    if (!tv_read_pa(k, k->root_pa, kernel_half, sizeof(kernel_half))) {
        res->missing++;
        return;
    }
    if (!tv_read_pa(k, root, other_half, sizeof(other_half))) {
        differ(res, "CR3", number, k->root_pa, vcpu.value[TV_REG_CR3], "its table is not in the target's memory");
        return;
    }
    for (uint32_t i = KERNEL_HALF; i < ENTRIES; i++) {
        uint64_t here = other_half[i] & ENTRY_MASK, kernel = kernel_half[i] & ENTRY_MASK;

        if (here == kernel || i == own || (vcpu.pv && i < KERNEL_HALF + XEN_SLOTS))
            continue;
        if (here == 0 && i != ENTRIES - 1)
            continue; /* filled in when it is first needed; the kernel's text always is there */
        tv_find(res, "register", label(res, number, "CR3"), 0, vcpu.value[TV_REG_CR3], &kernel_half[i], 8,
                &other_half[i], 8,
                "its table maps the kernel otherwise than the kernel's own");
        return;
    }
}

static void native(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number)
{
    equal(res, "IDTR", number, TV_REG_IDT_BASE, g->idt_va);
    equal(res, "IDTR.limit", number, TV_REG_IDT_LIMIT, g->idt_limit);
    entry(k, res, "LSTAR", number, TV_REG_LSTAR, g->lstar, false);
    entry(k, res, "CSTAR", number, TV_REG_CSTAR, g->cstar, true);
    entry(k, res, "SYSENTER_EIP", number, TV_REG_SYSENTER_EIP, g->sysenter, true);
    equal(res, "STAR", number, TV_REG_STAR, g->star);
    bits(res, "SFMASK", number, TV_REG_SFMASK, g->sfmask);
    bits(res, "CR0", number, TV_REG_CR0, CR0_PE | CR0_WP | CR0_PG);
    bits(res, "EFER", number, TV_REG_EFER, EFER_SCE | EFER_LMA | EFER_NX);
    control4(k, g, res, number);
}

static void trap(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number,
                 uint32_t vector)
{
    const struct tv_trap *actual = &vcpu.traps[vector];
    const struct tv_pv_trap *expected = &g->traps[vector];
    uint64_t first = expected->handler[0] ? k->profile->text_va + k->delta + expected->handler[0] : 0;

    res->units++;
    if (actual->address == 0)
        return; /* not registered: Xen ends the guest, or ignores it */
    if (!leads_to(k, expected->handler, actual->address))
        tv_find(res, "trap", label(res, number, "trap"), vector, actual->address, &first, 8, &actual->address, 8,
                "Xen has another handler for this vector");
    else if (actual->flags != expected->flags)
        tv_find(res, "trap", label(res, number, "trap"), vector, actual->address, &expected->flags, 1, &actual->flags, 1,
                "privilege or event mask of this vector");
}

static void paravirtual(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number)
{
    uint64_t text = k->profile->text_va + k->delta;

    equal(res, "event callback", number, TV_REG_EVENT_CALLBACK, text + g->event_callback);
    equal(res, "failsafe callback", number, TV_REG_FAILSAFE_CALLBACK, text + g->failsafe_callback);
    equal(res, "syscall callback", number, TV_REG_SYSCALL_CALLBACK, text + g->syscall_callback);
    if (vcpu.has_traps)
        for (uint32_t vector = 0; vector < TV_TRAPS; vector++)
            trap(k, g, res, number, vector);
}

static void compare(struct tv_kernel *k, const struct tv_registers *g, struct tv_result *res, uint32_t number)
{
    if (vcpu.pv)
        paravirtual(k, g, res, number);
    else
        native(k, g, res, number);
    page_tables(k, g, res, number);
    breakpoints(res, number);
}

static void unverifiable(struct tv_result *res, const char *reason)
{
    res->verdict = res->findings ? TV_TAMPERED : TV_UNVERIFIABLE;
    res->reason = res->findings ? NULL : reason;
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_registers *g = tv_registers_golden(k);
    int count = g && !refused ? guest_vcpus(k->gm) : -TV_ENOENT;
    uint32_t failed = 0;

    if (!g) {
        tv_settle(res, tv_golden_reason(k, TV_CHECK_REGISTERS));
        return;
    }
    if (count < 0) {
        refused = true;
        unverifiable(res, "no registers: this monitor may not read them");
        return;
    }
    for (int i = 0; i < count; i++) {
        int err = guest_vcpu_read(k->gm, (uint32_t)i, &vcpu);

        if (err == -TV_ENOENT)
            continue;
        if (err)
            failed++;
        else if (vcpu.pv && !g->traps)
            failed++;
        else
            compare(k, g, res, (uint32_t)i);
    }
    if (failed && g->traps)
        unverifiable(res, "no registers: a processor's could not be read");
    else if (failed)
        unverifiable(res, g->pv_reason);
    else
        tv_settle(res, "no processor is online");
}

const struct tv_check tv_check_registers = { .name = "registers", .attach = attach, .run = run, .detach = detach };
