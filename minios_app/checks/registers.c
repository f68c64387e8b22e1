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
#include <tinyvmi/page_table.h>

#include "registers.h"

#define CR0_PE   (UINT64_C(1) << 0)
#define CR0_WP   (UINT64_C(1) << 16)
#define CR0_PG   (UINT64_C(1) << 31)
#define CR4_UMIP (UINT64_C(1) << 11)
#define CR4_SMEP (UINT64_C(1) << 20)
#define CR4_SMAP (UINT64_C(1) << 21)
#define EFER_SCE (UINT64_C(1) << 0)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NX  (UINT64_C(1) << 11)

/* Accessed and dirty differ without meaning. */
#define ENTRY_MASK (~(TV_PTE_ACCESSED | TV_PTE_DIRTY))
#define PTI_USER   (UINT64_C(1) << 12) /* of CR3: the user's half of a pair of tables */

struct registers_check {
    struct guest_vcpu vcpu; /* the one that is compared, … */
    uint32_t number;        /* … and which it is */
    uint64_t pinned;        /* bits of CR4 that some processor has had: the kernel never takes one back */
    bool refused;           /* the platform has no registers for us: not asked again */
    uint64_t kernel_half[TV_PT_ENTRIES], other_half[TV_PT_ENTRIES];
};

/* What all comparisons of one scan need. */
struct comparison {
    struct registers_check *c;
    struct tv_kernel *k;
    const struct tv_registers *g;
    struct tv_result *res;
};

static bool has(const struct comparison *at, enum tv_register reg)
{
    return at->c->vcpu.known >> reg & 1;
}

static uint64_t value_of(const struct comparison *at, enum tv_register reg)
{
    return at->c->vcpu.value[reg];
}

static uint64_t running_text(const struct comparison *at)
{
    return at->k->profile->text_va + at->k->delta;
}

/* Report `f` of register `name`: "vcpu3.IDTR". */
static void report(const struct comparison *at, const char *name, struct tv_finding_args f)
{
    struct tv_label label = { 0 };

    tv_label_add(&label, "vcpu");
    tv_label_add_number(&label, at->c->number);
    tv_label_add(&label, ".");
    tv_label_add(&label, name);
    f.symbol = label.text;
    tv_report_finding(at->res, &f);
}

static void differ(const struct comparison *at, const char *name, uint64_t expected, uint64_t actual,
                   const char *note)
{
    report(at, name,
           (struct tv_finding_args){ .kind = TV_KIND_REGISTER,
                                     .address = actual,
                                     .expected = &expected,
                                     .expected_size = sizeof(expected),
                                     .actual = &actual,
                                     .actual_size = sizeof(actual),
                                     .note = note });
}

static void compare_value(const struct comparison *at, const char *name, enum tv_register reg,
                          uint64_t expected)
{
    if (!has(at, reg))
        return;
    at->res->items++;
    if (value_of(at, reg) != expected)
        differ(at, name, expected, value_of(at, reg), NULL);
}

/* `required` bits have to be set; others may be. */
static void compare_bits(const struct comparison *at, const char *name, enum tv_register reg,
                         uint64_t required)
{
    uint64_t v;

    if (!has(at, reg))
        return;
    v = value_of(at, reg);
    at->res->items++;
    if ((v & required) != required)
        differ(at, name, v | required, v, "protecting bits are cleared");
}

static bool leads_to(const struct comparison *at, const uint32_t *entries, uint64_t va)
{
    for (uint32_t i = 0; i < TV_REG_CHOICES && entries[i]; i++)
        if (va == running_text(at) + entries[i])
            return true;
    return false;
}

static void compare_entry(const struct comparison *at, const char *name, enum tv_register reg,
                          const uint32_t *entries, bool may_be_none)
{
    uint64_t v;

    if (!has(at, reg))
        return;
    v = value_of(at, reg);
    at->res->items++;
    if (!leads_to(at, entries, v) && !(may_be_none && v == 0))
        differ(at, name, entries[0] ? running_text(at) + entries[0] : 0, v,
               "not where this kernel is entered");
}

/* One capability of boot_cpu_data; -1 if it cannot be read. */
static int capability(const struct comparison *at, uint32_t number)
{
    uint32_t word;

    if (!guest_read_va(at->k, at->g->capability_va + at->k->delta + number / 32 * 4, &word, sizeof(word)))
        return -1;
    return word >> (number % 32) & 1;
}

/*
 * CR4.  The kernel sets these bits where the processor has them and pins them
 * (cr4_pinned_bits).  Its claim about the processor can only require more than
 * what has been seen set.
 */
static void compare_cr4(const struct comparison *at)
{
    static const uint64_t bit[3] = { CR4_SMEP, CR4_SMAP, CR4_UMIP };
    const uint16_t feature[3] = { at->g->smep, at->g->smap, at->g->umip };
    uint64_t required = at->c->pinned;

    if (!has(at, TV_REG_CR4))
        return;
    for (uint32_t i = 0; i < 3; i++) {
        int there = capability(at, feature[i]);

        if (there < 0)
            at->res->missing++;
        if (there > 0)
            required |= bit[i];
    }
    compare_bits(at, "CR4", TV_REG_CR4, required);
    at->c->pinned |= value_of(at, TV_REG_CR4) & (CR4_SMEP | CR4_SMAP | CR4_UMIP);
}

/* A breakpoint in the kernel's half of the address space: code that runs there at an instruction of its choice. */
static void compare_breakpoints(const struct comparison *at)
{
    static const char *const names[4] = { "DR0", "DR1", "DR2", "DR3" };

    if (!has(at, TV_REG_DR7))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t va = value_of(at, TV_REG_DR0 + i);

        at->res->items++;
        if ((value_of(at, TV_REG_DR7) >> (2 * i) & 3) && va >> 63)
            differ(at, names[i], 0, va, "a breakpoint in the kernel");
    }
}

/* The kernel's half of the table that CR3 has, against the kernel's own. */
static void compare_halves(const struct comparison *at)
{
    struct registers_check *c = at->c;
    uint32_t own = at->g->ldt_slot[at->k->levels == 5];

    for (uint32_t i = TV_PT_KERNEL_HALF; i < TV_PT_ENTRIES; i++) {
        uint64_t here = c->other_half[i] & ENTRY_MASK, kernel = c->kernel_half[i] & ENTRY_MASK;

        if (here == kernel || i == own || (c->vcpu.pv && i < TV_PT_KERNEL_HALF + TV_PT_XEN_ENTRIES))
            continue;
        if (here == 0 && i != TV_PT_ENTRIES - 1)
            continue; /* filled in when it is first needed; the kernel's text always is there */
        report(
            at, "CR3",
            (struct tv_finding_args){ .kind = TV_KIND_REGISTER,
                                      .address = value_of(at, TV_REG_CR3),
                                      .expected = &c->kernel_half[i],
                                      .expected_size = sizeof(c->kernel_half[i]),
                                      .actual = &c->other_half[i],
                                      .actual_size = sizeof(c->other_half[i]),
                                      .note = "its table maps the kernel otherwise than the kernel's own" });
        return;
    }
}

/*
 * CR3 is known if its table is the kernel's own, or a process's: then its upper
 * half holds the kernel's entries (pgd_ctor(), arch/x86/mm/pgtable.c), so that
 * the processor runs what the other checks have seen.
 */
static void compare_cr3(const struct comparison *at)
{
    struct registers_check *c = at->c;
    uint64_t root = value_of(at, TV_REG_CR3) & TV_PTE_ADDRESS;

    if (!has(at, TV_REG_CR3))
        return;
    if ((root & PTI_USER) && !c->vcpu.pv && capability(at, at->g->pti) > 0)
        root &= ~PTI_USER;
    at->res->items++;
    if (root == at->k->root_pa)
        return;
    if (!guest_read_pa(at->k, at->k->root_pa, c->kernel_half, sizeof(c->kernel_half)))
        at->res->missing++;
    else if (!guest_read_pa(at->k, root, c->other_half, sizeof(c->other_half)))
        differ(at, "CR3", at->k->root_pa, value_of(at, TV_REG_CR3),
               "its table is not in the target's memory");
    else
        compare_halves(at);
}

static void compare_native(const struct comparison *at)
{
    const struct tv_registers *g = at->g;

    compare_value(at, "IDTR", TV_REG_IDT_BASE, g->idt_va);
    compare_value(at, "IDTR.limit", TV_REG_IDT_LIMIT, g->idt_limit);
    compare_entry(at, "LSTAR", TV_REG_LSTAR, g->lstar, false);
    compare_entry(at, "CSTAR", TV_REG_CSTAR, g->cstar, true);
    compare_entry(at, "SYSENTER_EIP", TV_REG_SYSENTER_EIP, g->sysenter, true);
    compare_value(at, "STAR", TV_REG_STAR, g->star);
    compare_bits(at, "SFMASK", TV_REG_SFMASK, g->sfmask);
    compare_bits(at, "CR0", TV_REG_CR0, CR0_PE | CR0_WP | CR0_PG);
    compare_bits(at, "EFER", TV_REG_EFER, EFER_SCE | EFER_LMA | EFER_NX);
    compare_cr4(at);
}

static void compare_trap(const struct comparison *at, uint32_t vector)
{
    const struct tv_trap *actual = &at->c->vcpu.traps[vector];
    const struct tv_pv_trap *expected = &at->g->traps[vector];
    uint64_t first = expected->handler[0] ? running_text(at) + expected->handler[0] : 0;
    struct tv_finding_args f = { .kind = TV_KIND_TRAP, .offset = vector, .address = actual->address };

    at->res->items++;
    if (actual->address == 0)
        return; /* not registered: Xen ends the guest, or ignores it */
    if (!leads_to(at, expected->handler, actual->address)) {
        f.expected = &first;
        f.actual = &actual->address;
        f.expected_size = f.actual_size = sizeof(first);
        f.note = "Xen has another handler for this vector";
    } else if (actual->flags != expected->flags) {
        f.expected = &expected->flags;
        f.actual = &actual->flags;
        f.expected_size = f.actual_size = 1;
        f.note = "privilege or event mask of this vector";
    } else {
        return;
    }
    report(at, "trap", f);
}

static void compare_paravirtual(const struct comparison *at)
{
    const struct tv_registers *g = at->g;
    uint64_t text = running_text(at);

    compare_value(at, "event callback", TV_REG_EVENT_CALLBACK, text + g->event_callback);
    compare_value(at, "failsafe callback", TV_REG_FAILSAFE_CALLBACK, text + g->failsafe_callback);
    compare_value(at, "syscall callback", TV_REG_SYSCALL_CALLBACK, text + g->syscall_callback);
    if (at->c->vcpu.has_traps)
        for (uint32_t vector = 0; vector < TV_TRAPS; vector++)
            compare_trap(at, vector);
}

static void compare(const struct comparison *at)
{
    if (at->c->vcpu.pv)
        compare_paravirtual(at);
    else
        compare_native(at);
    compare_cr3(at);
    compare_breakpoints(at);
}

static void set_unverifiable(struct tv_result *res, const char *reason)
{
    res->verdict = res->findings ? TV_TAMPERED : TV_UNVERIFIABLE;
    res->reason = res->findings ? NULL : reason;
}

/* All processors.  How many of them could not be compared. */
static uint32_t compare_all(const struct comparison *at, uint32_t count)
{
    struct registers_check *c = at->c;
    uint32_t failed = 0;

    for (c->number = 0; c->number < count; c->number++) {
        int err = guest_vcpu_read(at->k->gm, c->number, &c->vcpu);

        if (err == -TV_ENOENT)
            continue;
        if (err || (c->vcpu.pv && !at->g->traps))
            failed++;
        else
            compare(at);
    }
    return failed;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct registers_check *c = context;
    struct comparison at = { .c = c, .k = k, .g = tv_registers_golden(k), .res = res };
    int count;

    (void)budget;
    if (!at.g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_REGISTERS));
        return TV_STEP_DONE;
    }
    count = c->refused ? -TV_ENOENT : guest_vcpus(k->gm);
    if (count < 0) {
        c->refused = true;
        set_unverifiable(res, "no registers: this monitor may not read them");
    } else if (!compare_all(&at, (uint32_t)count)) {
        tv_result_finalize(res, "no processor is online");
    } else {
        set_unverifiable(res,
                         at.g->traps ? "no registers: a processor's could not be read" : at.g->pv_reason);
    }
    return TV_STEP_DONE;
}

const struct tv_check tv_check_registers = {
    .name = "registers",
    .id = TV_CHECK_REGISTERS,
    .context_size = sizeof(struct registers_check),
    .step = step,
};
