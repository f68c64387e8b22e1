/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#define KEPT 64

bool tv_costs;

static uint64_t map_ns;
static uint32_t map_calls, map_pages;

/* Told when the scan is over: who reads a record takes the processor that the next check would be measured on. */
static struct cost {
    const char *name;
    uint64_t ns, map_ns;
    uint32_t number, map_calls, map_pages;
    bool look;
} costs[KEPT];
static uint32_t kept;

uint64_t tv_cost_mapping(void)
{
    return tv_costs ? tv_now_ns() : 0;
}

void tv_cost_mapped(uint64_t since, uint32_t npages)
{
    if (!tv_costs)
        return;
    map_ns += tv_now_ns() - since;
    map_pages += npages;
    map_calls++;
}

void tv_cost_note(uint32_t number, const char *name, uint64_t ns, bool look)
{
    if (tv_costs) {
        if (kept == KEPT)
            tv_cost_tell();
        costs[kept++] = (struct cost){ name, ns, map_ns, number, map_calls, map_pages, look };
    }
    map_ns = 0;
    map_pages = map_calls = 0;
}

void tv_cost_tell(void)
{
    for (uint32_t i = 0; i < kept; i++) {
        const struct cost *c = &costs[i];

        tv_rec_begin("cost");
        tv_rec_uint("scan", c->number);
        tv_rec_str("check", c->name);
        tv_rec_uint("took_ns", c->ns);
        tv_rec_uint("map_ns", c->map_ns);
        tv_rec_uint("map_pages", c->map_pages);
        tv_rec_uint("map_calls", c->map_calls);
        if (c->look)
            tv_rec_uint("look", 1);
        tv_rec_end();
    }
    kept = 0;
}
