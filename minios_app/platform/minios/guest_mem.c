/* SPDX-License-Identifier: MIT */
/*
 * Views of the target's frames.  The window's page-table entries are built
 * once; after that a mapping is one mmu_update request a page, issued in
 * batches.  Xen reports how many requests it did, so that a frame which cannot be
 * mapped is found, marked and stepped over (public/xen.h, MMU_NORMAL_PT_UPDATE).
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>
#include <mini-os/mm.h>

#include <tinyvmi/platform.h>

#include "base.h"
#include "guest_mem.h"

#define BATCH 128 /* requests a hypercall: past 64 nothing is gained */

/* Present, accessed, never executable; Xen itself adds the user bit that PV wants. */
#define PTE_SHOWN (_PAGE_PRESENT | _PAGE_ACCESSED | (UINT64_C(1) << 63))

struct window {
    uint64_t *pte; /* [npages] machine addresses of the window's entries */
};

int guest_view_reserve(struct guest_mem *gm, struct guest_view *v, uint32_t npages)
{
    struct window *w = tv_alloc(sizeof(*w));
    unsigned long va = base_reserve(npages);

    (void)gm;
    if (w)
        w->pte = tv_alloc(npages * sizeof(*w->pte));
    v->gfn = tv_alloc(npages * sizeof(*v->gfn));
    v->err = tv_alloc(npages * sizeof(*v->err));
    v->platform = w;
    v->npages = npages;
    if (!va || !w || !w->pte || !v->gfn || !v->err)
        goto no_memory;
    for (uint32_t i = 0; i < npages; i++) {
        pgentry_t *pte = need_pgt(va + (unsigned long)i * PAGE_SIZE);

        if (!pte)
            goto no_memory;
        w->pte[i] = virt_to_mach(pte);
        v->gfn[i] = GFN_NONE;
        v->err[i] = -TV_EFAULT;
    }
    v->base = (const uint8_t *)va;
    return 0;

no_memory:
    if (va)
        base_release(va, npages);
    if (w)
        tv_free(w->pte);
    tv_free(w);
    tv_free(v->gfn);
    tv_free(v->err);
    *v = (struct guest_view){ 0 };
    return -TV_ENOMEM;
}

/*
 * Issue `n` requests; each one that Xen refuses is replaced by one that clears
 * the entry, so that no page keeps showing what it showed before.
 */
static void issue(struct guest_mem *gm, struct guest_view *v, uint32_t first, mmu_update_t *req, uint32_t n)
{
    uint32_t at = 0;

    while (at < n) {
        int done = 0;
        int rc = HYPERVISOR_mmu_update(req + at, (int)(n - at), &done, gm->target);

        if (rc >= 0 && (uint32_t)done >= n - at)
            return;
        if (done > 0)
            at += (uint32_t)done;
        if (at >= n)
            return;
        if (req[at].val == 0) { /* even clearing was refused: do not try for ever */
            at++;
            continue;
        }
        v->err[first + at] = rc < 0 ? rc : -TV_EIO;
        req[at].val = 0;
    }
}

void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    static mmu_update_t req[BATCH];
    struct window *w = v->platform;
    struct mmuext_op flush = { .cmd = MMUEXT_TLB_FLUSH_LOCAL };
    int count;

    while (n) {
        uint32_t batch = n < BATCH ? n : BATCH;

        for (uint32_t i = 0; i < batch; i++) {
            uint64_t gfn = v->gfn[first + i];
            bool shown = gfn < UINT64_C(1) << 40; /* what an entry can hold */

            req[i].ptr = w->pte[first + i] | MMU_NORMAL_PT_UPDATE;
            req[i].val = shown ? gfn << TV_PAGE_SHIFT | PTE_SHOWN : 0;
            v->err[first + i] = shown ? 0 : -TV_EFAULT;
        }
        issue(gm, v, first, req, batch);
        for (uint32_t i = 0; i < batch; i++) {
            if (v->err[first + i] == 0) {
                gm->shown++;
                gm->home = v->gfn[first + i];
            } else if (v->gfn[first + i] != GFN_NONE) {
                gm->refused++;
            }
        }
        first += batch;
        n -= batch;
    }
    /* Entries changed under our own feet: forget what the TLB remembers. */
    HYPERVISOR_mmuext_op(&flush, 1, &count, DOMID_SELF);
}

void guest_view_release(struct guest_mem *gm, struct guest_view *v)
{
    struct window *w = v->platform;

    if (!v->npages)
        return;
    for (uint32_t i = 0; i < v->npages; i++)
        v->gfn[i] = GFN_NONE;
    guest_view_map(gm, v, 0, v->npages);
    base_release((unsigned long)v->base, v->npages);
    tv_free(w->pte);
    tv_free(w);
    tv_free(v->gfn);
    tv_free(v->err);
    *v = (struct guest_view){ 0 };
}
