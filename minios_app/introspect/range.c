/* SPDX-License-Identifier: MIT */
/* Views of kernel-virtual ranges: what the target's processors see there. */
#include <tinyvmi/kernel.h>

int tv_range_open(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size)
{
    uint64_t va = link_va + k->delta;
    uint64_t first = va & TV_PAGE_MASK;

    r->va = first;
    r->npages = (uint32_t)((va + size - first + TV_PAGE_SIZE - 1) >> TV_PAGE_SHIFT);
    return guest_view_reserve(k->gm, &r->view, r->npages);
}

static void lead(struct guest_view *v, uint32_t i, uint64_t gfn)
{
    if (v->gfn[i] == gfn)
        return;
    v->gfn[i] = gfn;
    v->err[i] = gfn == GFN_NONE ? -TV_EFAULT : -TV_EAGAIN;
}

void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    uint32_t i = first, end = first + n;

    while (i < end) {
        uint64_t va = r->va + (uint64_t)i * TV_PAGE_SIZE;
        struct tv_translation t;

        if (tv_translate(k, va, &t)) {
            lead(&r->view, i++, GFN_NONE);
            continue;
        }
        /* One walk serves all pages of a large leaf. */
        uint64_t left = (t.size - (va & (t.size - 1))) >> TV_PAGE_SHIFT;

        for (uint64_t gfn = t.pa >> TV_PAGE_SHIFT; left && i < end; left--)
            lead(&r->view, i++, gfn++);
    }
}

void tv_range_refresh_part(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    tv_range_walk(k, r, first, n);
    guest_view_map(k->gm, &r->view, first, n);
}

void tv_range_refresh(struct tv_kernel *k, struct tv_range *r)
{
    tv_range_refresh_part(k, r, 0, r->npages);
}

void tv_range_show(struct tv_kernel *k, struct tv_range *r, uint64_t va, uint32_t npages)
{
    r->va = va & TV_PAGE_MASK;
    r->npages = npages < r->view.npages ? npages : r->view.npages;
    tv_range_refresh(k, r);
}

bool tv_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n)
{
    uint64_t size = (uint64_t)r->npages * TV_PAGE_SIZE, at = va - r->va;

    return va >= r->va && at <= size && n <= size - at && guest_view_read(&r->view, at, dst, n);
}

void tv_range_close(struct tv_kernel *k, struct tv_range *r)
{
    guest_view_release(k->gm, &r->view);
}
