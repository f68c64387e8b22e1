/* SPDX-License-Identifier: MIT */
/*
 * idt: every gate of idt_table is one that the kernel's own tables install
 * (arch/x86/kernel/idt.c), and the read-only alias through which the
 * processors see it is still this table.
 */
#include <tinyvmi/check.h>

#include "idt.h"

#define FIRST_EXTERNAL_VECTOR 0x20 /* arch/x86/include/asm/irq_vectors.h */

struct gate { /* struct gate_struct, arch/x86/include/asm/desc_defs.h */
    uint16_t offset_low;
    uint16_t segment;
    uint16_t bits;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "an x86-64 gate is 16 bytes");

struct idt_check {
    struct tv_range range;
};

static int init(void *context, struct tv_kernel *k)
{
    struct idt_check *c = context;
    const struct tv_idt *g = tv_idt_golden(k);

    return g ? tv_range_init(k, &c->range, g->table_va, sizeof(struct gate) * TV_IDT_VECTORS) : 0;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct idt_check *c = context;

    if (tv_idt_golden(k))
        tv_range_deinit(k, &c->range);
}

static struct gate make_gate(uint64_t handler, uint16_t segment, uint16_t bits)
{
    return (struct gate){
        .offset_low = (uint16_t)handler,
        .segment = segment,
        .bits = bits,
        .offset_middle = (uint16_t)(handler >> 16),
        .offset_high = (uint32_t)(handler >> 32),
    };
}

static void compare(const struct idt_check *c, struct tv_kernel *k, const struct tv_idt *g, uint32_t vector,
                    struct tv_result *res)
{
    uint64_t va = g->table_va + k->delta + vector * sizeof(struct gate);
    uint64_t text = k->profile->text_va + k->delta;
    struct gate actual, expected;

    if (!guest_range_read(&c->range, va, &actual, sizeof(actual))) {
        res->missing++;
        return;
    }
    res->items++;
    for (uint32_t i = 0; i < TV_GATE_HANDLERS && g->gates[vector].handler[i]; i++) {
        expected = make_gate(text + g->gates[vector].handler[i], g->segment, g->gates[vector].bits);
        if (memcmp(&actual, &expected, sizeof(actual)) == 0)
            return;
    }
    /* Nor has it interrupt gates: its events come through one callback. */
    if (k->pv && vector >= FIRST_EXTERNAL_VECTOR && memcmp(&actual, &(struct gate){ 0 }, sizeof(actual)) == 0)
        return;
    expected = make_gate(text + g->gates[vector].handler[0], g->segment, g->gates[vector].bits);
    tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_GATE,
                                                      .symbol = "idt_table",
                                                      .offset = vector * sizeof(struct gate),
                                                      .address = va,
                                                      .expected = &expected,
                                                      .expected_size = sizeof(expected),
                                                      .actual = &actual,
                                                      .actual_size = sizeof(actual) });
}

/* The processors' IDTR points at an alias in the CPU entry area. */
static void compare_alias(struct tv_kernel *k, const struct tv_idt *g, struct tv_result *res)
{
    uint64_t expected = k->text_pa + (g->table_va - k->profile->text_va);
    struct tv_translation t;

    if (tv_translate(k, g->alias_va, &t)) {
        /* A PV guest gives its table to Xen and maps no alias (idt_setup_apic_and_irq_gates() does not run). */
        if (!k->pv)
            res->missing++;
        return;
    }
    t.pa = tv_guest_physical(k, t.pa);
    res->items++;
    if (t.pa != expected)
        tv_report_finding(
            res, &(struct tv_finding_args){ .kind = TV_KIND_MAPPING,
                                            .symbol = "idt_table",
                                            .address = g->alias_va,
                                            .expected = &expected,
                                            .expected_size = sizeof(expected),
                                            .actual = &t.pa,
                                            .actual_size = sizeof(t.pa),
                                            .note = "the processors' view of the IDT is another frame" });
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct idt_check *c = context;
    const struct tv_idt *g = tv_idt_golden(k);

    (void)budget;
    if (!g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_IDT));
        return TV_STEP_DONE;
    }
    tv_range_refresh(k, &c->range);
    for (uint32_t vector = 0; vector < TV_IDT_VECTORS; vector++)
        compare(c, k, g, vector, res);
    if (g->alias_va)
        compare_alias(k, g, res);
    tv_result_finalize(res, "no gate could be read");
    return TV_STEP_DONE;
}

const struct tv_check tv_check_idt = {
    .name = "idt",
    .id = TV_CHECK_IDT,
    .context_size = sizeof(struct idt_check),
    .init = init,
    .deinit = deinit,
    .step = step,
};
