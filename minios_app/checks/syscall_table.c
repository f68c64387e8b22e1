/* SPDX-License-Identifier: MIT */
/*
 * syscall-table: every pointer of the system-call tables is the one in the
 * package's file, relocated (arch/x86/entry/syscall_64.c, syscall_32.c).
 */
#include <tinyvmi/check.h>

#include "syscall_table.h"

#define TABLES_MAX 4

struct syscall_table_check {
    struct tv_range range[TABLES_MAX];
};

static uint32_t table_count(const struct tv_kernel *k)
{
    const struct tv_syscall_tables *g = tv_syscall_table_golden(k);

    return !g ? 0 : g->count < TABLES_MAX ? g->count : TABLES_MAX;
}

static int init(void *context, struct tv_kernel *k)
{
    struct syscall_table_check *c = context;

    for (uint32_t t = 0; t < table_count(k); t++) {
        const struct tv_pointer_table *g = &tv_syscall_table_golden(k)->tables[t];

        if (tv_range_init(k, &c->range[t], g->va, (uint64_t)g->count * 8)) {
            while (t--)
                tv_range_deinit(k, &c->range[t]);
            return -TV_ENOMEM;
        }
    }
    return 0;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct syscall_table_check *c = context;

    for (uint32_t t = 0; t < table_count(k); t++)
        tv_range_deinit(k, &c->range[t]);
}

static void compare(struct tv_kernel *k, const struct tv_pointer_table *g, const struct tv_range *r,
                    struct tv_result *res)
{
    for (uint32_t i = 0; i < g->count; i++) {
        uint64_t va = g->va + k->delta + (uint64_t)i * 8;
        uint64_t expected = g->expected[i] + k->delta, actual;

        if (!guest_range_read(r, va, &actual, sizeof(actual))) {
            res->missing++;
            continue;
        }
        res->items++;
        if (actual != expected)
            tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_POINTER,
                                                              .symbol = g->symbol,
                                                              .offset = (uint64_t)i * 8,
                                                              .address = va,
                                                              .expected = &expected,
                                                              .expected_size = sizeof(expected),
                                                              .actual = &actual,
                                                              .actual_size = sizeof(actual) });
    }
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct syscall_table_check *c = context;

    (void)budget;
    for (uint32_t t = 0; t < table_count(k); t++) {
        tv_range_refresh(k, &c->range[t]);
        compare(k, &tv_syscall_table_golden(k)->tables[t], &c->range[t], res);
    }
    tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_SYSCALL_TABLE));
    return TV_STEP_DONE;
}

const struct tv_check tv_check_syscall_table = {
    .name = "syscall-table",
    .id = TV_CHECK_SYSCALL_TABLE,
    .context_size = sizeof(struct syscall_table_check),
    .init = init,
    .deinit = deinit,
    .step = step,
};
