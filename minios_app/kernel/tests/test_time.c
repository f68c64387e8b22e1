/* SPDX-License-Identifier: MIT */
#include <mini-os/sched.h>
#include <mini-os/time.h>

#include "smoke.h"

static void monotonic(void)
{
    s_time_t start = NOW(), last = start;

    CHECK(start > 0);
    for (int i = 0; i < 20000; i++) {
        s_time_t now = NOW();

        CHECK(now >= last);
        last = now;
    }
    CHECK(last > start && last - start < SECONDS(5));
}

static void sleeping(void)
{
    for (uint32_t ms = 1; ms <= 64; ms *= 4) {
        s_time_t start = NOW(), slept;

        msleep(ms);
        slept = NOW() - start;
        CHECK(slept >= MILLISECS(ms));
        CHECK(slept < MILLISECS(ms) + SECONDS(3));
    }
}

static void wall_clock(void)
{
    struct timeval before, after;
    s_time_t start = NOW(), by_now, by_wall;

    CHECK(!gettimeofday(&before, NULL));
    msleep(30);
    CHECK(!gettimeofday(&after, NULL));
    by_now = (NOW() - start) / 1000;
    by_wall = (after.tv_sec - before.tv_sec) * 1000000 + after.tv_usec - before.tv_usec;
    CHECK(before.tv_sec > 1700000000 && before.tv_usec < 1000000);
    CHECK(by_wall >= 30000 && by_wall <= by_now + 1);
}

SMOKE_TESTS(time) = {
    { "time: NOW() never goes back", monotonic },
    { "time: msleep() sleeps long enough, and not for ever", sleeping },
    { "time: the wall clock goes with NOW()", wall_clock },
    SMOKE_END,
};
