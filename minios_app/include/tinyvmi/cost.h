/* SPDX-License-Identifier: MIT */
/*
 * What checks cost, for who asks (`costs=1`): one `cost` record a check and
 * scan.  Without that nothing is measured and nothing is said.
 */
#ifndef TINYVMI_COST_H
#define TINYVMI_COST_H

#include <tinyvmi/types.h>

extern bool tv_costs;

/* Check `name` of scan `number` took `ns` in all; `look`: not the whole of it, but a look between scans. */
void tv_cost_note(uint32_t number, const char *name, uint64_t ns, bool look);

/* Say what was noted: when a scan, or a look between scans, is over. */
void tv_cost_tell(void);

/*
 * Of a platform's guest_view_map(): around the mapping of `npages` pages.  The
 * first gives what the second takes.
 */
uint64_t tv_cost_mapping(void);
void tv_cost_mapped(uint64_t since, uint32_t npages);

#endif
