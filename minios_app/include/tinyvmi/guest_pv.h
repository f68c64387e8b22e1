/* SPDX-License-Identifier: MIT */
/*
 * PV targets: what maps their memory are machine frames, in page tables too.
 * gfn of a view and pa of a walk are then machine frames and addresses; what
 * the guest takes for its physical memory (pseudo-physical frames, pfn) is in
 * Xen's table from machine to physical, of which a guest can change the
 * entries of its own frames only.
 */
#ifndef TINYVMI_GUEST_PV_H
#define TINYVMI_GUEST_PV_H

#include <tinyvmi/guest_mem.h>

/*
 * Machine frames that may be frame `pfn` of the target: at most `room`, any of
 * them perhaps another domain's.  How many; -TV_EOPNOTSUPP: not a PV target.
 */
int guest_pv_candidates(struct guest_mem *gm, uint64_t pfn, uint64_t *mfn, uint32_t room);

/* The pfn of machine frame `mfn`; GFN_NONE if it has none. */
uint64_t guest_pv_pfn(struct guest_mem *gm, uint64_t mfn);

#endif
