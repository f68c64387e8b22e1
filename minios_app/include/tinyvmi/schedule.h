/* SPDX-License-Identifier: MIT */
/* The rhythm of a scan: how much of it is done in one go, and in which order. */
#ifndef TINYVMI_SCHEDULE_H
#define TINYVMI_SCHEDULE_H

#include <tinyvmi/kernel.h>

/* Has this slice of the scan used up its budget? */
bool tv_slice_over(void);

/*
 * Rest until the next slice.  Meanwhile the target goes on, and looks at what
 * it writes are taken: a check must read anew what it has read of the target.
 */
void tv_rest(struct tv_kernel *k);

/* A number that the target cannot foresee; it needs no cryptography. */
uint32_t tv_random(void);

/* Number `n` of `count` in a chance order: each once. */
uint32_t tv_shuffled(uint32_t seed, uint32_t n, uint32_t count);

#endif
