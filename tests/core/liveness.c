/* SPDX-License-Identifier: MIT */
/* liveness.c over a clock and a target that the test moves: how much it works, whether it ticks, whether it waits. */
#include <tinyvmi/platform.h>

#include "internal.h"

#define TEXT_VA UINT64_C(0xffffffff81000000)

void take(bool may_ask);
void target(uint32_t percent, uint64_t tick_every_ns, bool waits);
void pass(uint64_t ns);
enum tv_liveness poll(void);
bool still_there(void);
uint64_t clock_ns(void);

static struct tv_kernel_profile profile = {
    .text_va = TEXT_VA,
    .clock_va = TEXT_VA + 0x100,
    .clock_cycle = 8,
    .clock_real = 16,
    .system_state_va = TEXT_VA + 0x200,
    .system_running = 3,
    .system_suspend = 6,
};
const struct tv_kernel_profile *const tv_profiles[] = { &profile };
const uint32_t tv_profile_count = 1;

static struct tv_kernel kernel;
static uint64_t now, used, last_tick, ticks, every;
static uint32_t work; /* percent of a processor */
static bool waiting, answered;

/* A kernel that the monitor has just found. */
void take(bool may_ask)
{
    memset(&kernel, 0, sizeof(kernel));
    kernel.profile = &profile;
    kernel.was_running = true;
    now = last_tick = UINT64_C(1000000000000);
    used = UINT64_C(5000000000);
    ticks = 1;
    answered = may_ask;
}

void target(uint32_t percent, uint64_t tick_every_ns, bool waits)
{
    work = percent;
    every = tick_every_ns;
    last_tick = now;
    waiting = waits;
}

void pass(uint64_t ns)
{
    now += ns;
    used += ns * work / 100;
    for (; every && now - last_tick >= every; last_tick += every)
        ticks++;
}

enum tv_liveness poll(void)
{
    return tv_kernel_liveness(&kernel);
}

bool still_there(void)
{
    struct tv_presence_query query;
    enum tv_presence presence;

    tv_presence_begin(&kernel, &query);
    while ((presence = tv_presence_poll(&kernel, &query)) == TV_PRESENCE_OPEN)
        pass(TV_PRESENCE_POLL_NS);
    return presence == TV_PRESENT;
}

uint64_t clock_ns(void)
{
    return now;
}

bool guest_read_pa(struct tv_kernel *k, uint64_t pa, void *dst, size_t n)
{
    uint64_t value = pa < 0x200 ? (pa & 8 ? ticks : UINT64_C(0xffffffff82000000)) : profile.system_running;

    (void)k;
    memcpy(dst, &value, n);
    return true;
}

bool guest_read_va(struct tv_kernel *k, uint64_t va, void *dst, size_t n)
{
    return guest_read_pa(k, va - TEXT_VA, dst, n);
}

int64_t guest_mem_cpu_ns(struct guest_mem *gm)
{
    (void)gm;
    return answered ? (int64_t)used : -TV_ESRCH;
}

bool guest_mem_waits(struct guest_mem *gm)
{
    (void)gm;
    return answered && waiting;
}

bool guest_mem_alive(struct guest_mem *gm)
{
    (void)gm;
    return true;
}

uint64_t tv_now_ns(void)
{
    return now;
}

void tv_pt_cache_flush(struct tv_kernel *k)
{
    (void)k;
}

void tv_kernel_forget(struct tv_kernel *k)
{
    k->profile = NULL;
}

void tv_kernel_take(struct tv_kernel *k, const struct tv_candidate *c)
{
    k->profile = c->profile;
}

bool tv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t pa,
                     struct tv_candidate *c)
{
    (void)k;
    c->profile = p;
    return pa == 0;
}
