/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "guest_mem.h"

int64_t guest_mem_frames(struct guest_mem *gm)
{
    return (int64_t)gm->frames;
}

bool guest_mem_alive(struct guest_mem *gm)
{
    (void)gm;
    return true;
}

int guest_view_reserve(struct guest_mem *gm, struct guest_view *v, uint32_t npages)
{
    /* Inaccessible until a frame is shown: a read past v->err faults in the tests. */
    void *base = mmap(NULL, (size_t)npages * TV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)gm;
    v->gfn = calloc(npages, sizeof(*v->gfn));
    v->err = calloc(npages, sizeof(*v->err));
    if (base == MAP_FAILED || !v->gfn || !v->err) {
        if (base != MAP_FAILED)
            munmap(base, (size_t)npages * TV_PAGE_SIZE);
        free(v->gfn);
        free(v->err);
        return -TV_ENOMEM;
    }
    v->base = base;
    v->npages = npages;
    for (uint32_t i = 0; i < npages; i++) {
        v->gfn[i] = GFN_NONE;
        v->err[i] = -TV_EFAULT;
    }
    return 0;
}

void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    for (uint32_t i = first, run; i < first + n; i += run) {
        uint8_t *at = (uint8_t *)v->base + (size_t)i * TV_PAGE_SIZE;
        bool inside = v->gfn[i] < gm->frames;
        void *got;

        /* Consecutive frames become one mapping. */
        for (run = 1; i + run < first + n; run++)
            if (inside ? v->gfn[i + run] != v->gfn[i] + run || v->gfn[i + run] >= gm->frames
                       : v->gfn[i + run] < gm->frames)
                break;
        if (inside)
            got = mmap(at, (size_t)run * TV_PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, gm->fd,
                       (off_t)(v->gfn[i] * TV_PAGE_SIZE));
        else
            got = mmap(at, (size_t)run * TV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        for (uint32_t j = 0; j < run; j++)
            v->err[i + j] = !inside ? -TV_EFAULT : got == MAP_FAILED ? -errno : 0;
    }
}

void guest_view_release(struct guest_mem *gm, struct guest_view *v)
{
    (void)gm;
    munmap((void *)(uintptr_t)v->base, (size_t)v->npages * TV_PAGE_SIZE);
    free(v->gfn);
    free(v->err);
    *v = (struct guest_view){ 0 };
}
