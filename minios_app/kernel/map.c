/* SPDX-License-Identifier: MIT */
/* Mapping frames, foreign ones above all, in batches that survive a bad frame. */
#include <mini-os/errno.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>

#include "demand.h"
#include "internal.h"

/* One batch of do_map_frames: its requests are in mmu_batch, its entries and their old values below. */
struct map_batch {
    unsigned long va;
    int n;
    domid_t id;
    int *err; /* of the first request, or NULL */
};

static pgentry_t *entry[MMU_BATCH], old_pte[MMU_BATCH];

static void clear_pte(unsigned long va)
{
    BUG_ON(HYPERVISOR_update_va_mapping(va, __pte(0), UVMF_INVLPG));
}

/*
 * mmu_update stops at the first request that Xen refuses and says how many it
 * did before: note the error, take the stale page away, go on behind it.
 */
static void batch_issue(const struct map_batch *b)
{
    int at = 0;

    while (at < b->n) {
        int done = 0;
        int rc = HYPERVISOR_mmu_update(mmu_batch + at, b->n - at, &done, b->id);

        if (rc >= 0)
            return;
        at += done;
        if (!b->err) {
            printk("mapping frame %#lx of domain %u at %#lx failed: %d\n",
                   (unsigned long)pte_to_mfn(mmu_batch[at].val), b->id, b->va + (unsigned long)at * PAGE_SIZE,
                   rc);
            do_exit();
        }
        b->err[at] = rc;
        if (old_pte[at] & _PAGE_PRESENT)
            clear_pte(b->va + (unsigned long)at * PAGE_SIZE);
        at++;
    }
}

int do_map_frames(unsigned long va, const unsigned long *mfns, unsigned long n, unsigned long stride,
                  unsigned long incr, domid_t id, int *err, unsigned long prot)
{
    unsigned long done = 0;
    pgentry_t *pgt = NULL;
    bool stale = false;

    if (!mfns || (va & ~PAGE_MASK))
        return -EINVAL;
    if (err)
        memset(err, 0, n * sizeof(*err));

    while (done < n) {
        struct map_batch b = { .va = va, .id = id, .err = err ? err + done : NULL };

        for (; b.n < MMU_BATCH && done < n; b.n++, done++, va += PAGE_SIZE, pgt++) {
            if (!pgt || !(va & L1_MASK))
                pgt = need_pgt(va);
            if (!pgt) {
                batch_issue(&b);
                return -ENOMEM;
            }
            entry[b.n] = pgt;
            old_pte[b.n] = READ_ONCE(*pgt);
            mmu_batch[b.n].ptr = virt_to_mach(pgt) | MMU_NORMAL_PT_UPDATE;
            mmu_batch[b.n].val = ((mfns[done * stride] + done * incr) << PAGE_SHIFT) | prot;
        }
        batch_issue(&b);
        /* Xen leaves it to us to forget translations of what was there before. */
        for (int i = 0; i < b.n && !stale; i++)
            stale =
                (old_pte[i] & _PAGE_PRESENT) && pte_to_mfn(READ_ONCE(*entry[i])) != pte_to_mfn(old_pte[i]);
    }
    if (stale)
        tlb_flush_local();
    return 0;
}

void *map_frames_ex(const unsigned long *mfns, unsigned long n, unsigned long stride, unsigned long incr,
                    unsigned long alignment, domid_t id, int *err, unsigned long prot)
{
    unsigned long va = allocate_ondemand(n, alignment);

    if (!va)
        return NULL;
    if (do_map_frames(va, mfns, n, stride, incr, id, err, prot)) {
        unmap_frames(va, n);
        return NULL;
    }
    return (void *)va;
}

int unmap_frames(unsigned long va, unsigned long num_frames)
{
    unsigned long at = va, left = num_frames;

    ASSERT(!(va & ~PAGE_MASK));
    while (left) {
        int n = 0;

        for (; n < MMU_BATCH && left; left--, at += PAGE_SIZE) {
            pgentry_t *pgt = get_pgt(at);

            if (!pgt || !READ_ONCE(*pgt))
                continue;
            mmu_batch[n].ptr = virt_to_mach(pgt) | MMU_NORMAL_PT_UPDATE;
            mmu_batch[n].val = 0;
            n++;
        }
        if (n) {
            int rc = HYPERVISOR_mmu_update(mmu_batch, n, NULL, DOMID_SELF);

            if (rc < 0)
                return rc;
        }
    }
    tlb_flush_local();
    if (demand_contains(va))
        demand_release(va, num_frames);
    return 0;
}
