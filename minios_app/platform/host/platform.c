/* SPDX-License-Identifier: MIT */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <tinyvmi/platform.h>

#include "arguments.h"

uint64_t tv_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void tv_sleep_ns(uint64_t ns)
{
    struct timespec t = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };

    while (nanosleep(&t, &t) && errno == EINTR)
        ;
}

/* XCR0 shows what the operating system keeps of AVX (Intel SDM volume 1, 14.3). */
static bool keeps_avx(void)
{
    uint32_t low, high;

    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

uint32_t tv_vector_units(void)
{
    uint32_t a, b, c, d, features = 0, units = 0;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        features = b;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1)) {
        units |= TV_UNIT_SSE41;
        if (features & bit_SHA)
            units |= TV_UNIT_SHA;
        if ((features & bit_AVX2) && (c & bit_OSXSAVE) && keeps_avx())
            units |= TV_UNIT_AVX2;
    }
    return units;
}

void *tv_alloc(size_t n)
{
    return calloc(1, n);
}

void tv_free(void *p)
{
    free(p);
}

void write_to_stdout(void *context, const char *s, size_t n)
{
    (void)context;
    while (n) {
        ssize_t done = write(STDOUT_FILENO, s, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            _exit(4); /* nobody reads it */
        s += done;
        n -= (size_t)done;
    }
}
