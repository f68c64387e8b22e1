/* SPDX-License-Identifier: MIT */
/*
 * What checks cost, for who asks (`costs=1`): one `cost` record a check and
 * scan.  Without that nothing is measured and nothing is said.  Times are ns.
 */
#ifndef TINYVMI_COST_H
#define TINYVMI_COST_H

#include <tinyvmi/types.h>

extern bool tv_costs;

/* Check `name` of scan `number` took `ns` in all; `look`: not the whole of it, but a look between scans. */
void tv_cost_note(uint32_t number, const char *name, uint64_t ns, bool look);

/* Say what was noted: when a scan, or a look between scans, is over. */
void tv_cost_tell(void);

/* What a check's time goes into; the rest is all else: walks, lists, what is taken back before a digest. */
enum tv_phase {
    TV_MAPPING,
    TV_READING,   /* a view's bytes copied, or compared with a copy */
    TV_SITES,     /* places that the kernel patches, and the state that they depend on */
    TV_HASHING,
    TV_REPORTING, /* records: mostly after the check, and then no part of what it took */
    TV_PHASES
};

/*
 * Around work of one phase: a page's or many pages', for it reads the clock
 * twice.  The first gives what the second takes.  Phases may contain others;
 * what is within an inner one is not counted for the outer.
 */
uint64_t tv_cost_begin(void);
void tv_cost_end(enum tv_phase phase, uint64_t since);

/* Of a platform's guest_view_map(): so many pages were asked for in one call. */
void tv_cost_mapped(uint32_t npages);

#endif
