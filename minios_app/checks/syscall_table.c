/* SPDX-License-Identifier: MIT */
/*
 * syscall-table: every pointer of the system-call tables is the one in the
 * package's file, relocated (arch/x86/entry/syscall_64.c, syscall_32.c).
 */
#include <tinyvmi/check.h>

#include "syscall_table.h"

#define TABLES_MAX 4

static struct tv_range range[TABLES_MAX];

static uint32_t tables(const struct tv_kernel *k)
{
    const struct tv_syscall_tables *g = tv_syscall_table_golden(k);

    return !g ? 0 : g->count < TABLES_MAX ? g->count : TABLES_MAX;
}

static int attach(struct tv_kernel *k)
{
    for (uint32_t t = 0; t < tables(k); t++) {
        const struct tv_pointer_table *g = &tv_syscall_table_golden(k)->tables[t];

        if (tv_range_open(k, &range[t], g->va, (uint64_t)g->count * 8)) {
            while (t--)
                tv_range_close(k, &range[t]);
            return -TV_ENOMEM;
        }
    }
    return 0;
}

static void detach(struct tv_kernel *k)
{
    for (uint32_t t = 0; t < tables(k); t++)
        tv_range_close(k, &range[t]);
}

static void compare(struct tv_kernel *k, const struct tv_pointer_table *g, const struct tv_range *r,
                    struct tv_result *res)
{
    for (uint32_t i = 0; i < g->count; i++) {
        uint64_t va = g->va + k->delta + (uint64_t)i * 8;
        uint64_t expected = g->expected[i] + k->delta, actual;

        if (!tv_range_read(r, va, &actual, sizeof(actual))) {
            res->missing++;
            continue;
        }
        res->units++;
        if (actual != expected)
            tv_find(res, "pointer", g->symbol, (uint64_t)i * 8, va, &expected, 8, &actual, 8, NULL);
    }
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    for (uint32_t t = 0; t < tables(k); t++) {
        tv_range_refresh(k, &range[t]);
        compare(k, &tv_syscall_table_golden(k)->tables[t], &range[t], res);
    }
    tv_settle(res, tv_golden_reason(k, TV_CHECK_SYSCALL_TABLE));
}

const struct tv_check tv_check_syscall_table = { .name = "syscall-table", .attach = attach, .run = run, .detach = detach };
