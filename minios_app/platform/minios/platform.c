/* SPDX-License-Identifier: MIT */
#include <mini-os/os.h>
#include <mini-os/console.h>
#include <mini-os/lib.h>
#include <mini-os/sched.h>
#include <mini-os/time.h>
#include <mini-os/xmalloc.h>

#include <tinyvmi/platform.h>

#include "base.h"

/* A base may let its clock step back a little when Xen gives it a new scale. */
uint64_t tv_now_ns(void)
{
    static uint64_t last;
    uint64_t now = (uint64_t)NOW();

    if (now > last)
        last = now;
    return last;
}

void tv_sleep_ns(uint64_t ns)
{
    msleep((uint32_t)((ns + 999999) / 1000000));
}

uint32_t tv_vector_units(void)
{
    return base_vector_units();
}

void *tv_alloc(size_t n)
{
    void *p = malloc(n);

    if (p)
        memset(p, 0, n);
    return p;
}

void tv_free(void *p)
{
    if (p)
        free(p);
}

/* The ring takes what it has room for: wait for xenconsoled rather than lose a byte. */
void base_console_write(void *context, const char *s, size_t n)
{
    (void)context;
    while (n) {
        int sent = xencons_ring_send(NULL, s, (unsigned int)n);

        if (sent > 0) {
            s += sent;
            n -= (size_t)sent;
        } else {
            base_console_wait();
        }
    }
}
