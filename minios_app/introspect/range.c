/* SPDX-License-Identifier: MIT */
/* Views of kernel-virtual ranges: what the target's processors see there. */
#include <tinyvmi/kernel.h>

int tv_range_open(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size)
{
    uint64_t va = link_va + k->delta;
    uint64_t first = va & TV_PAGE_MASK;

    r->va = first;
    return guest_view_reserve(k->gm, &r->view, (uint32_t)((va + size - first + TV_PAGE_SIZE - 1) >> TV_PAGE_SHIFT));
}

void tv_range_refresh(struct tv_kernel *k, struct tv_range *r)
{
    uint32_t i = 0;

    while (i < r->view.npages) {
        uint64_t va = r->va + (uint64_t)i * TV_PAGE_SIZE;
        struct tv_translation t;

        if (tv_translate(k, va, &t)) {
            r->view.gfn[i++] = GFN_NONE;
            continue;
        }
        /* One walk serves all pages of a large leaf. */
        uint64_t left = (t.size - (va & (t.size - 1))) >> TV_PAGE_SHIFT;

        for (uint64_t gfn = t.pa >> TV_PAGE_SHIFT; left && i < r->view.npages; left--)
            r->view.gfn[i++] = gfn++;
    }
    guest_view_map(k->gm, &r->view, 0, r->view.npages);
}

bool tv_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n)
{
    return va >= r->va && guest_view_read(&r->view, va - r->va, dst, n);
}

void tv_range_close(struct tv_kernel *k, struct tv_range *r)
{
    guest_view_release(k->gm, &r->view);
}
