/* SPDX-License-Identifier: MIT */
/* Views of kernel-virtual ranges: what the target's processors see there. */
#include <tinyvmi/kernel.h>

int tv_range_init(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size)
{
    uint64_t va = link_va + k->delta;
    uint64_t first = va & TV_PAGE_MASK;

    r->va = first;
    r->npages = (uint32_t)((va + size - first + TV_PAGE_SIZE - 1) >> TV_PAGE_SHIFT);
    return guest_view_reserve(k->gm, &r->view, r->npages);
}

void tv_range_walk(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    struct guest_view *v = &r->view;
    uint32_t end = first + n;

    for (uint32_t i = first; i < end;) {
        uint64_t gfn[TV_FRAMES_MAX];
        uint32_t count = tv_frames(k, r->va + (uint64_t)i * TV_PAGE_SIZE, gfn, end - i);
        uint64_t *leads = v->gfn + i;
        int *err = v->err + i;

        for (uint32_t j = 0; j < count; j++) {
            if (leads[j] == gfn[j])
                continue;
            leads[j] = gfn[j];
            err[j] = gfn[j] == GFN_NONE ? -TV_EFAULT : -TV_EAGAIN;
            r->moved = true;
        }
        i += count;
    }
}

void tv_range_refresh_part(struct tv_kernel *k, struct tv_range *r, uint32_t first, uint32_t n)
{
    tv_range_walk(k, r, first, n);
    tv_view_map(k, &r->view, first, n);
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

bool guest_range_read(const struct tv_range *r, uint64_t va, void *dst, size_t n)
{
    return va >= r->va && guest_range_read_at(r, va - r->va, dst, n);
}

void tv_range_deinit(struct tv_kernel *k, struct tv_range *r)
{
    guest_view_release(k->gm, &r->view);
}
