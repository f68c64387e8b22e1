/* SPDX-License-Identifier: MIT */
/* What the files of this folder share about candidates for the running kernel. */
#ifndef TINYVMI_INTROSPECT_INTERNAL_H
#define TINYVMI_INTROSPECT_INTERNAL_H

#include <tinyvmi/kernel.h>

#define TV_PROBE_STEP UINT64_C(0x200000) /* CONFIG_PHYSICAL_ALIGN of x86-64 */

/* clock.c: copy what the image at `text_pa` has at a link address; false if it cannot be read. */
bool tv_read_image(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa, uint64_t link_va,
                   void *dst, size_t n);

/*
 * candidate.c: does a kernel of profile `p` lie at physical address `pa`, where its own
 * phys_base and page tables have it?  Fills in the places in `c`.
 */
bool tv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t pa,
                     struct tv_candidate *c);

/* Make `c` the kernel that is watched. */
void tv_kernel_take(struct tv_kernel *k, const struct tv_candidate *c);

/* Is this one of the stale kernels, its clock still where it stopped? */
bool tv_is_stale(const struct tv_kernel *k, const struct tv_candidate *c);

#define PV_LEVELS 4 /* Xen runs 64-bit PV guests with four levels of page tables */

/* tv_kernel_find() for a PV target; -TV_EOPNOTSUPP: it is none. */
int tv_kernel_find_pv(struct tv_kernel *k);

/* tv_candidate_at() for a PV target: is there such a kernel under the root at machine address `root`? */
bool tv_pv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t root,
                        struct tv_candidate *c);

/* The clock of a kernel of profile `p` at `text_pa`; all zeros if it cannot be read. */
void tv_clock_read(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa,
                   struct tv_clock *clock);

/* Has the clock ticked from `then` to `now`?  Memory that was overwritten is no tick. */
bool tv_clock_moved(const struct tv_clock *then, const struct tv_clock *now);

/* Has a kernel of profile `p` at `text_pa` halted or begun to restart?  False if it cannot be read. */
bool tv_has_ended(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa);

#endif
