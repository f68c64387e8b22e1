/* SPDX-License-Identifier: MIT */
#include <mini-os/events.h>
#include <mini-os/sched.h>
#include <mini-os/vector.h>

#include "smoke.h"

#define REGISTERS 16

void sse_over_call(void (*fn)(void), const void *before, void *after);
void avx_over_call(void (*fn)(void), const void *before, void *after);

static uint8_t before[32 * REGISTERS], after[32 * REGISTERS];
static evtchn_port_t near, far;
static volatile int events;

static void counter(evtchn_port_t port, struct pt_regs *regs, void *data)
{
    (void)port;
    (void)regs;
    (void)data;
    events++;
}

static void take_event(void)
{
    notify_remote_via_evtchn(near);
}

static void sleep_a_little(void)
{
    msleep(20);
}

static bool preserved(void (*over_call)(void (*fn)(void), const void *, void *), size_t size,
                      void (*fn)(void))
{
    for (size_t i = 0; i < size; i++) {
        before[i] = (uint8_t)(i * 37 + 11);
        after[i] = 0;
    }
    over_call(fn, before, after);
    return !memcmp(before, after, size);
}

static void preserved_over_events(void)
{
    unsigned int units = vector_enable();

    printk("# vector units: %u\n", units);
    CHECK(loopback(&near, &far, counter, NULL));
    events = 0;
    CHECK(preserved(sse_over_call, 16 * REGISTERS, take_event));
    CHECK(events == 1);
    if (units & VECTOR_AVX2)
        CHECK(preserved(avx_over_call, 32 * REGISTERS, take_event) && events == 2);
    unbind_evtchn(far);
    unbind_evtchn(near);
}

/* The domain is off the processor meanwhile, and comes back by its timer. */
static void preserved_over_sleep(void)
{
    unsigned int units = vector_enable();

    CHECK(preserved(sse_over_call, 16 * REGISTERS, sleep_a_little));
    if (units & VECTOR_AVX2)
        CHECK(preserved(avx_over_call, 32 * REGISTERS, sleep_a_little));
}

static void same_answer(void)
{
    unsigned int units = vector_enable();

    CHECK(vector_enable() == units);
    CHECK((units & ~(VECTOR_SSE41 | VECTOR_AVX2 | VECTOR_SHA)) == 0);
    CHECK(!(units & (VECTOR_AVX2 | VECTOR_SHA)) || (units & VECTOR_SSE41));
}

SMOKE_TESTS(vector) = {
    { "vector: registers are preserved over an event", preserved_over_events },
    { "vector: registers are preserved over sleep", preserved_over_sleep },
    { "vector: enabling twice gives the same", same_answer },
    SMOKE_END,
};
