/* SPDX-License-Identifier: MIT */
/*
 * The clock, memory and console that a platform gives to the core.  Together
 * with guest_mem.h this is all of the outside world that the core can reach.
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

/* Write `n` bytes of one record line to the console; blocks until all of them
 * are taken, so that a record is never torn. */
void tv_console_write(const char *s, size_t n);

#endif
