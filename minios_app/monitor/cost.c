/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

bool tv_costs;

static uint64_t map_ns;
static uint32_t map_calls, map_pages;

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

void tv_cost_tell(uint32_t number, const char *name, uint64_t ns, bool look)
{
    if (tv_costs) {
        tv_rec_begin("cost");
        tv_rec_uint("scan", number);
        tv_rec_str("check", name);
        tv_rec_uint("took_ns", ns);
        tv_rec_uint("map_ns", map_ns);
        tv_rec_uint("map_pages", map_pages);
        tv_rec_uint("map_calls", map_calls);
        if (look)
            tv_rec_uint("look", 1);
        tv_rec_end();
    }
    map_ns = 0;
    map_pages = map_calls = 0;
}
