/* SPDX-License-Identifier: MIT */
/*
 * syscall-table: golden values.
 */
#ifndef CHECKS_SYSCALL_TABLE_H
#define CHECKS_SYSCALL_TABLE_H

#include <tinyvmi/golden.h>

struct tv_pointer_table { /* consecutive 64-bit pointers to code */
    const char *symbol;
    uint64_t va;
    uint32_t count;
    const uint64_t *expected; /* [count] link addresses */
};

struct tv_syscall_tables {
    const struct tv_pointer_table *tables; /* [count] */
    uint32_t count;
};

TV_GOLDEN(tv_syscall_table_golden, struct tv_syscall_tables, TV_CHECK_SYSCALL_TABLE)

#endif
