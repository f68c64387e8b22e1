/* SPDX-License-Identifier: MIT */
/*
 * Discovery of a PV guest's kernel.  Xen's domain builder loads it where its
 * file asks to be, so there is no KASLR: the pseudo-physical frame of init_top_pgt is
 * known beforehand, and Xen's machine-to-physical table gives the few machine
 * frames that can be it.  One is taken if, walked as a page table, it shows
 * the build-id, and itself at its own address (arch/x86/xen/mmu_pv.c,
 * xen_setup_kernel_pagetable()).  A guest can make a second such frame of its
 * own, but cannot take the first away without breaking its kernel: then nothing
 * decides between them.
 */
#include <tinyvmi/guest_pv.h>

#include "internal.h"

#define FRAMES 64 /* about one a domain of the host; more are not tried */

int tv_kernel_find_pv(struct tv_kernel *k)
{
    uint64_t mfn[FRAMES];
    struct tv_candidate found = { 0 };
    uint32_t count = 0;

    tv_pt_cache_flush(k);
    for (uint32_t i = 0; i < tv_profile_count; i++) {
        const struct tv_kernel_profile *p = tv_profiles[i];
        uint64_t pfn = (p->physical_start + (p->root_va - p->text_va)) >> TV_PAGE_SHIFT;
        int n = guest_pv_candidates(k->gm, pfn, mfn, FRAMES);

        if (n < 0)
            return n;
        for (int f = 0; f < n; f++) {
            struct tv_candidate c = { .profile_index = i };

            if (tv_pv_candidate_at(k, p, mfn[f] << TV_PAGE_SHIFT, &c) && !tv_is_stale(k, &c)) {
                found = c;
                count++;
            }
        }
    }
    if (count != 1)
        return count ? -TV_EBUSY : -TV_ENOENT;
    k->pv = true;
    tv_kernel_take(k, &found);
    return 0;
}
