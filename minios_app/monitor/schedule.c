/* SPDX-License-Identifier: MIT */
/*
 * Slices: a scan that may not keep the processor for long works for a budget,
 * then rests, so that all of it takes about half a period.  How long it will
 * work is taken from the scan before; the first one, and one that looks again
 * at something bad, does not rest.
 */
#include <tinyvmi/config.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>

#include "scan.h"

static uint64_t slice_ns, rest_ns;
static uint64_t worked_ns, slice_began_ns; /* in the scan under way */
static uint64_t last_work_ns;              /* of the last whole scan, 0: there was none */
static bool may_rest;

void tv_pace_reset(void)
{
    last_work_ns = 0;
    may_rest = false;
}

void tv_pace_begin(uint64_t period_ns)
{
    uint64_t slices;

    slice_ns = (uint64_t)tv_config.time_budget_us * 1000;
    slices = slice_ns ? last_work_ns / slice_ns : 0;
    may_rest = slices > 0 && last_work_ns < period_ns / 2;
    rest_ns = may_rest ? (period_ns / 2 - last_work_ns) / slices : 0;
    slice_began_ns = tv_now_ns();
    worked_ns = 0;
}

void tv_pace_end(void)
{
    last_work_ns = worked_ns + (tv_now_ns() - slice_began_ns);
    may_rest = false; /* a check that a look runs must not rest, and look again */
}

bool tv_pace_hurry(void)
{
    bool before = may_rest;

    may_rest = false;
    return before;
}

void tv_pace_resume(bool rests)
{
    may_rest = rests;
}

bool tv_slice_over(void)
{
    return may_rest && tv_now_ns() - slice_began_ns >= slice_ns;
}

void tv_rest(struct tv_kernel *k)
{
    worked_ns += tv_now_ns() - slice_began_ns;
    tv_sleep_looking(k, tv_now_ns() + rest_ns);
    tv_pt_cache_flush(k);
    slice_began_ns = tv_now_ns();
}

uint32_t tv_random(void)
{
    static uint64_t state;

    /* splitmix64, fed with the moments at which it is asked. */
    state += tv_now_ns() | 1;
    state ^= state >> 30;
    state *= UINT64_C(0xbf58476d1ce4e5b9);
    state ^= state >> 27;
    return (uint32_t)(state >> 16);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
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
