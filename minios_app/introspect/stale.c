/* SPDX-License-Identifier: MIT */
/* Kernels that have stopped: stale instances, which lie in memory as they were left, and are not to be found again. */
#include "internal.h"

/* Of processor time: by then whatever replaced a kernel has a clock of its own. */
#define ALONE_NS INT64_C(10000000000)

static bool is_same_clock(const struct tv_clock *a, const struct tv_clock *b)
{
    return a->source == b->source && a->cycle == b->cycle && a->real == b->real;
}

bool tv_is_stale(const struct tv_kernel *k, const struct tv_candidate *c)
{
    for (uint32_t i = 0; i < TV_STALE_MAX; i++)
        if (k->stale[i].text_pa == c->text_pa && k->stale[i].clock.source &&
            is_same_clock(&k->stale[i].clock, &c->clock))
            return true;
    return false;
}

void tv_kernel_retire(struct tv_kernel *k)
{
    struct tv_stale_kernel *stale = &k->stale[k->retired++ % TV_STALE_MAX];

    stale->profile_index = k->profile_index;
    stale->text_pa = k->text_pa;
    stale->root_pa = k->root_pa;
    stale->pv = k->pv;
    stale->cpu_ns = guest_mem_cpu_ns(k->gm);
    tv_clock_read(k, k->profile, k->text_pa, &stale->clock);
    tv_kernel_forget(k);
}

bool tv_kernel_revive(struct tv_kernel *k)
{
    struct tv_stale_kernel *last = &k->stale[(k->retired - 1) % TV_STALE_MAX];
    int64_t cpu = guest_mem_cpu_ns(k->gm);
    struct tv_candidate here = { .profile_index = last->profile_index };
    const struct tv_kernel_profile *p = tv_profiles[last->profile_index];

    if (!k->retired || cpu < 0)
        return false;
    if (last->cpu_ns < 0 || cpu < last->cpu_ns)
        last->cpu_ns = cpu; /* it was paused then, or its processors are counted anew */
    if (cpu - last->cpu_ns < ALONE_NS)
        return false;
    last->cpu_ns = cpu; /* as long again until the next time */
    k->pv = last->pv; /* such a kernel is read through its root */
    k->root_pa = last->root_pa;
    k->levels = PV_LEVELS;
    if (tv_has_ended(k, p, last->text_pa) || !tv_candidate_at(k, p, last->text_pa, &here)) {
        k->pv = false;
        return false;
    }
    tv_kernel_take(k, &here);
    k->stopped = true;
    return true;
}
