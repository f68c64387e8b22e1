/* SPDX-License-Identifier: MIT */
/* Numbers that the target cannot foresee.  They hide when and in which order it is read, and need no cryptography. */
#ifndef TINYVMI_RANDOM_H
#define TINYVMI_RANDOM_H

#include <tinyvmi/types.h>

struct tv_random {
    uint64_t state;
};

uint32_t tv_random_next(struct tv_random *r);

/* Number `n` of `count` in a random order that `seed` chooses: each once; seed 0 is the order as it is. */
uint32_t tv_shuffled(uint32_t seed, uint32_t n, uint32_t count);

#endif
