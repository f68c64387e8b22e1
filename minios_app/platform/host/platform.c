/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <tinyvmi/platform.h>

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

void *tv_alloc(size_t n)
{
    return calloc(1, n);
}

void tv_free(void *p)
{
    free(p);
}

void tv_console_write(const char *s, size_t n)
{
    while (n) {
        ssize_t done = write(STDOUT_FILENO, s, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            _exit(4); /* nobody can be told */
        s += done;
        n -= (size_t)done;
    }
}
