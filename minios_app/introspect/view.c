/* SPDX-License-Identifier: MIT */
#include <tinyvmi/kernel.h>

bool guest_view_read(const struct guest_view *v, uint64_t offset, void *dst, size_t n)
{
    uint64_t size = (uint64_t)v->npages * TV_PAGE_SIZE;

    if (offset > size || n > size - offset)
        return false;
    if (n == 0)
        return true;
    for (uint64_t page = offset >> TV_PAGE_SHIFT; page <= (offset + n - 1) >> TV_PAGE_SHIFT; page++)
        if (v->err[page])
            return false;
    memcpy(dst, v->base + offset, n);
    return true;
}

void tv_view_map(struct tv_kernel *k, struct guest_view *v, uint32_t first, uint32_t n)
{
    uint64_t since = tv_cost_begin(k->costs);

    guest_view_map(k->gm, v, first, n);
    tv_cost_count_mapping(k->costs, n);
    tv_cost_end(k->costs, TV_PHASE_MAPPING, since);
}
