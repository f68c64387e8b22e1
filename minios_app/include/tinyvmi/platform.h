/* SPDX-License-Identifier: MIT */
/*
 * The clock and the memory that a platform gives to the core.  Together with guest_mem.h, and the sink of
 * records (record.h) that each run is given, this is all of the outside world that the core can reach.
 */
#ifndef TINYVMI_PLATFORM_H
#define TINYVMI_PLATFORM_H

#include <tinyvmi/types.h>

/* Monotonic time in nanoseconds since an arbitrary start. */
uint64_t tv_now_ns(void);

/* Sleep for at least `ns` nanoseconds without using the processor. */
void tv_sleep_ns(uint64_t ns);

/* Zeroed memory of `n` bytes, or NULL.  Called when the target is attached or
 * found or has loaded a module, never in a steady scan. */
void *tv_alloc(size_t n);
void tv_free(void *p);

/*
 * Of the processor's vector units those that may be used at any time: the processor has them, operating
 * system or hypervisor keeps their state, and nothing that interrupts the core touches it.
 */
enum tv_vector_unit {
    TV_UNIT_SSE41 = 1,
    TV_UNIT_AVX2 = 2,
    TV_UNIT_SHA = 4, /* and SSE4.1 */
};
uint32_t tv_vector_units(void);

#endif
