/* SPDX-License-Identifier: MIT */
#include <tinyvmi/guest_mem.h>

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
