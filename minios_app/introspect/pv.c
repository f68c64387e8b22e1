/* SPDX-License-Identifier: MIT */
/*
 * Discovery of a PV guest's kernel.  Xen's domain builder loads it where its
 * file says, so there is no KASLR: the pseudo-physical frame of init_top_pgt is
 * known beforehand, and Xen's machine-to-physical table gives the few machine
 * frames that can be it.  One is believed if, walked as a page table, it shows
 * the build-id, and itself at its own address (arch/x86/xen/mmu_pv.c,
 * xen_setup_kernel_pagetable()).  A guest can make a second such frame of its
 * own, but cannot take the first away without breaking its kernel: then nobody
 * can tell.
 */
#include <tinyvmi/guest_pv.h>

#include "internal.h"

#define FRAMES 64 /* about one a domain of the host; more are not looked at */

bool tv_pv_candidate_at(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t root, struct tv_candidate *c)
{
    uint64_t root_pa = k->root_pa, phys_base;
    uint32_t levels = k->levels;
    uint8_t id[TV_BUILD_ID_SIZE];
    struct tv_translation t;
    bool pv = k->pv, sound;

    c->profile = p;
    c->text_pa = p->physical_start;
    c->delta = 0;
    c->root_pa = root;
    c->levels = PV_LEVELS;
    k->pv = true;
    k->root_pa = root; /* the walks are those of this candidate */
    k->levels = c->levels;
    sound = tv_translate(k, p->root_va, &t) == 0 && t.pa == root &&
            tv_read_va(k, p->build_id_va, id, sizeof(id)) && memcmp(id, p->build_id, sizeof(id)) == 0 &&
            tv_read_va(k, p->phys_base_va, &phys_base, sizeof(phys_base)) && phys_base == 0 &&
            tv_translate(k, p->text_va, &t) == 0 && tv_guest_physical(k, t.pa) == c->text_pa;
    if (sound)
        tv_clock_read(k, p, c->text_pa, &c->clock);
    k->pv = pv;
    k->root_pa = root_pa;
    k->levels = levels;
    return sound;
}

int tv_kernel_find_pv(struct tv_kernel *k)
{
    static uint64_t mfn[FRAMES];
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

            if (tv_pv_candidate_at(k, p, mfn[f] << TV_PAGE_SHIFT, &c) && !tv_is_buried(k, &c)) {
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

uint64_t tv_guest_physical(struct tv_kernel *k, uint64_t pa)
{
    uint64_t pfn = k->pv ? guest_pv_pfn(k->gm, pa >> TV_PAGE_SHIFT) : pa >> TV_PAGE_SHIFT;

    return pfn == GFN_NONE ? GFN_NONE : pfn << TV_PAGE_SHIFT | (pa & (TV_PAGE_SIZE - 1));
}
