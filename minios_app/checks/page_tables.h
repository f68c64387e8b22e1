/* SPDX-License-Identifier: MIT */
/*
 * page-tables: golden values.
 */
#ifndef CHECKS_PAGE_TABLES_H
#define CHECKS_PAGE_TABLES_H

#include <tinyvmi/golden.h>

/* Where roots of page tables are found.  Link addresses, then offsets of members. */
struct tv_page_tables {
    uint64_t init_task, init_mm;
    uint64_t efi; /* efi_mm, or 0 */
    const uint64_t *pointers; /* [pointer_count] to struct mm_struct or NULL */
    uint32_t pointer_count;
    uint64_t capabilities; /* boot_cpu_data.x86_capability */
    uint64_t per_cpu_offset, nr_cpu_ids, cpu_tlbstate;
    bool per_cpu_moves; /* KASLR moves cpu_tlbstate's address (since 6.15) */
    uint32_t tasks, pid, comm, comm_size, mm, active_mm, signal, thread_node; /* struct task_struct */
    uint32_t thread_head; /* struct signal_struct */
    uint32_t pgd, ldt;    /* struct mm_struct; ldt UINT32_MAX: none */
    uint32_t loaded_mm;   /* struct tlb_state */
    uint32_t pti;         /* number of the capability */
};

TV_GOLDEN(tv_page_tables_golden, struct tv_page_tables, TV_CHECK_PAGE_TABLES)

#endif
