/* SPDX-License-Identifier: MIT */
#include <tinyvmi/platform.h>
#include <tinyvmi/random.h>

uint32_t tv_random_next(struct tv_random *r)
{
    /* splitmix64, fed with the moments at which it is asked. */
    r->state += tv_now_ns() | 1;
    r->state ^= r->state >> 30;
    r->state *= UINT64_C(0xbf58476d1ce4e5b9);
    r->state ^= r->state >> 27;
    return (uint32_t)(r->state >> 16);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t remainder = a % b;

        a = b;
        b = remainder;
    }
    return a;
}

uint32_t tv_shuffled(uint32_t seed, uint32_t n, uint32_t count)
{
    uint32_t step = 1 + seed % count;

    while (common_divisor(step, count) != 1)
        step++;
    return (uint32_t)(((uint64_t)n * step + seed / 7) % count);
}
