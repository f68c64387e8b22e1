/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_TIME_H
#define MINIOS_TIME_H

#include <mini-os/types.h>

typedef int64_t s_time_t; /* nanoseconds */
typedef long time_t;
typedef long suseconds_t;

struct timeval {
    time_t tv_sec;
    suseconds_t tv_usec;
};

#define NOW()         ((s_time_t)monotonic_clock())
#define SECONDS(s)    ((s_time_t)(s) * 1000000000L)
#define MILLISECS(ms) ((s_time_t)(ms) * 1000000L)
#define MICROSECS(us) ((s_time_t)(us) * 1000L)
#define FOREVER       ((s_time_t)0x7fffffffffffffffLL)

void init_time(void);

/* Nanoseconds since Xen started; never goes back. */
uint64_t monotonic_clock(void);

/* Wall-clock time (UTC) as Xen keeps it.  Always 0; `tz` is not looked at. */
int gettimeofday(struct timeval *tv, void *tz);

/* Give up the processor until an event arrives or NOW() reaches `until`.  Called with events held back. */
void block_domain(s_time_t until);

#endif
