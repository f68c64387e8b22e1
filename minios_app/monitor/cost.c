/* SPDX-License-Identifier: MIT */
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#define KEPT 64

bool tv_costs;

static uint64_t spent[TV_PHASES]; /* since the last note */
static uint64_t counted;          /* in all phases, ever */
static uint32_t map_calls, map_pages;

/* Told when the scan is over: who reads a record takes the processor that the next check would be measured on. */
static struct cost {
    const char *name;
    uint64_t ns, phase[TV_PHASES];
    uint32_t number, map_calls, map_pages;
    bool look;
} costs[KEPT];
static uint32_t kept;
static bool telling;

/* The clock without what has been counted so far: then nothing of what is counted meanwhile is left at the end. */
static uint64_t uncounted(void)
{
    return tv_now_ns() - counted;
}

uint64_t tv_cost_begin(void)
{
    return tv_costs ? uncounted() : 0;
}

void tv_cost_end(enum tv_phase phase, uint64_t since)
{
    uint64_t ns;

    if (!tv_costs)
        return;
    ns = uncounted() - since;
    counted += ns;
    if (phase != TV_REPORTING)
        spent[phase] += ns;
    else if (kept && !telling)
        costs[kept - 1].phase[phase] += ns; /* what is said of a check is said when it is over */
}

void tv_cost_mapped(uint32_t npages)
{
    map_pages += npages;
    map_calls++;
}

void tv_cost_note(uint32_t number, const char *name, uint64_t ns, bool look)
{
    if (tv_costs) {
        struct cost *c;

        if (kept == KEPT)
            tv_cost_tell();
        c = &costs[kept++];
        *c = (struct cost){ .name = name, .ns = ns, .number = number, .look = look };
        memcpy(c->phase, spent, sizeof(spent));
        c->map_calls = map_calls;
        c->map_pages = map_pages;
    }
    memset(spent, 0, sizeof(spent));
    map_pages = map_calls = 0;
}

void tv_cost_tell(void)
{
    static const char *const names[TV_PHASES] = { "map_ns", "read_ns", "sites_ns", "hash_ns", "report_ns" };

    telling = true;
    for (uint32_t i = 0; i < kept; i++) {
        const struct cost *c = &costs[i];

        tv_rec_begin("cost");
        tv_rec_uint("scan", c->number);
        tv_rec_str("check", c->name);
        tv_rec_uint("took_ns", c->ns);
        for (uint32_t p = 0; p < TV_PHASES; p++)
            tv_rec_uint(names[p], c->phase[p]);
        tv_rec_uint("map_pages", c->map_pages);
        tv_rec_uint("map_calls", c->map_calls);
        if (c->look)
            tv_rec_uint("incremental", 1);
        tv_rec_end();
    }
    telling = false;
    kept = 0;
}
