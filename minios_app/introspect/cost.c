/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>

/* The clock without what has been counted so far: then nothing of what is counted meanwhile is left at the end. */
static uint64_t uncounted(const struct tv_costs *c)
{
    return tv_now_ns() - c->counted_ns;
}

uint64_t tv_cost_begin(const struct tv_costs *c)
{
    return c->enabled ? uncounted(c) : 0;
}

void tv_cost_end(struct tv_costs *c, enum tv_phase phase, uint64_t since)
{
    uint64_t ns;

    if (!c->enabled)
        return;
    ns = uncounted(c) - since;
    c->counted_ns += ns;
    if (phase != TV_PHASE_REPORTING)
        c->phase_ns[phase] += ns;
    else if (c->count && !c->reporting)
        c->list[c->count - 1].phase_ns[phase] +=
            ns; /* what is reported of a check is reported when it is over */
}

void tv_cost_count_mapping(struct tv_costs *c, uint32_t npages)
{
    c->map_pages += npages;
    c->map_calls++;
}

void tv_cost_add(struct tv_costs *c, uint32_t scan, const char *name, uint64_t ns, bool incremental)
{
    if (c->enabled) {
        struct tv_cost *cost = &c->list[c->count];

        TV_ASSERT(c->count < TV_COSTS_MAX);
        c->count++;
        *cost = (struct tv_cost){ .name = name, .duration_ns = ns, .scan = scan, .incremental = incremental };
        memcpy(cost->phase_ns, c->phase_ns, sizeof(cost->phase_ns));
        cost->map_calls = c->map_calls;
        cost->map_pages = c->map_pages;
    }
    memset(c->phase_ns, 0, sizeof(c->phase_ns));
    c->map_pages = c->map_calls = 0;
}
