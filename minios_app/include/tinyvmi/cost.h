/* SPDX-License-Identifier: MIT */
/*
 * What checks cost, in nanoseconds, for those who ask (`costs=1`): the work of a check is divided into phases.
 * Without that nothing is measured.
 */
#ifndef TINYVMI_COST_H
#define TINYVMI_COST_H

#include <tinyvmi/types.h>

/* What a check's time goes into; the rest is all else: walks, lists, what is taken back before a digest. */
enum tv_phase {
    TV_PHASE_MAPPING,
    TV_PHASE_READING,   /* a view's bytes copied, or compared with a copy */
    TV_PHASE_SITES,     /* patch sites, and the state that they depend on */
    TV_PHASE_HASHING,
    TV_PHASE_REPORTING, /* records: mostly after the check, and then no part of what it took */
    TV_PHASE_COUNT
};

struct tv_cost { /* of one check in one scan */
    const char *name;
    uint64_t duration_ns, phase_ns[TV_PHASE_COUNT];
    uint32_t scan, map_calls, map_pages;
    bool incremental; /* not the whole check, but an incremental one between scans */
};

#define TV_COSTS_MAX 64

struct tv_costs {
    bool enabled;
    bool reporting;                    /* these costs themselves are being written */
    uint64_t phase_ns[TV_PHASE_COUNT]; /* since the last check that was added */
    uint64_t counted_ns;               /* in all phases, ever */
    uint32_t map_calls, map_pages;
    uint32_t
        count; /* of `list`, which is written when the scan is over: who reads a record takes the processor
                     * that the next check would be measured on */
    struct tv_cost list[TV_COSTS_MAX];
};

/*
 * Around work of one phase: a page's or many pages', for it reads the clock twice.  The first gives what the
 * second takes.  Phases may contain others; what is within an inner one is not counted for the outer.
 */
uint64_t tv_cost_begin(const struct tv_costs *c);
void tv_cost_end(struct tv_costs *c, enum tv_phase phase, uint64_t since);

/* So many pages were asked for in one mapping. */
void tv_cost_count_mapping(struct tv_costs *c, uint32_t npages);

/* A check took `ns` in all: what was counted since the last one is its.  There is room for it. */
void tv_cost_add(struct tv_costs *c, uint32_t scan, const char *name, uint64_t ns, bool incremental);

#endif
