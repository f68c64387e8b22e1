/* SPDX-License-Identifier: MIT */
/*
 * What is known of one kernel from its package: where it is found, and the
 * golden values of each check.  Addresses named `*_va` are link addresses (as
 * in System.map); the running kernel's differ by the KASLR delta.
 */
#ifndef TINYVMI_PROFILE_H
#define TINYVMI_PROFILE_H

#include <tinyvmi/types.h>

#define TV_BUILD_ID_SIZE 20

struct tv_golden { /* of one check */
    const void *table;  /* as the check's own header describes it; NULL: the package gives none */
    const char *reason; /* then why; the check is unverifiable for it */
};

struct tv_kernel_profile {
    uint8_t build_id[TV_BUILD_ID_SIZE];
    const char *release;
    const char *banner; /* linux_banner */
    uint64_t text_va;   /* _text */
    uint64_t image_size; /* bytes from _text to _end, contiguous in physical memory */
    uint64_t tracked_size; /* bytes from _text that hold what incremental checks follow; 0: nothing */
    uint64_t physical_start; /* where the file asks to be loaded (0x1000000) */
    uint64_t build_id_va;    /* the descriptor of the GNU note */
    uint64_t banner_va;
    uint64_t phys_base_va;
    uint64_t root_va;  /* init_top_pgt */
    uint64_t system_state_va;
    uint32_t system_running; /* SYSTEM_RUNNING of enum system_states */
    uint32_t system_suspend; /* SYSTEM_SUSPEND: what lies between has halted or restarts */
    /*
     * A struct tk_read_base that every tick rewrites (tk_fast_mono.base[0],
     * kernel/time/timekeeping.c), and the offsets of its members; 0: not known.
     */
    uint64_t clock_va;
    uint32_t clock_source; /* clock: the clocksource, a pointer that hardly ever changes */
    uint32_t clock_cycle;  /* cycle_last: the counter at the last tick */
    uint32_t clock_real;   /* base_real: wall clock in ns, renewed once a second */
    uint64_t la57_va;  /* __pgtable_l5_enabled (u32), or 0: always 4 levels */
    const struct tv_golden *const *golden; /* [TV_CHECK_COUNT] by enum tv_check_id */
};

extern const struct tv_kernel_profile *const tv_profiles[];
extern const uint32_t tv_profile_count;

#endif
