/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

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

int64_t guest_mem_cpu_ns(struct guest_mem *gm)
{
    struct timespec t;

    if (!gm->live)
        return -TV_EINVAL;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool guest_mem_waits(struct guest_mem *gm)
{
    (void)gm;
    return false;
}

int guest_mem_dirty(struct guest_mem *gm, uint64_t first, uint32_t count, uint8_t *bits)
{
    (void)gm, (void)first, (void)count, (void)bits;
    return -TV_ENOENT;
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

/* The range that holds `gfn`, or NULL. */
static const struct image_range *range_of(const struct guest_mem *gm, uint64_t gfn)
{
    size_t low = 0, high = gm->nranges;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (gm->ranges[middle].gfn + gm->ranges[middle].count <= gfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low < gm->nranges && gm->ranges[low].gfn <= gfn ? &gm->ranges[low] : NULL;
}

/* How many of the `n` frames from v->gfn[first] on are consecutive and in `range`, or in none if it is NULL. */
static uint32_t run_length(const struct guest_mem *gm, const struct guest_view *v, uint32_t first, uint32_t n,
                           const struct image_range *range)
{
    uint32_t run = 1;

    if (range)
        while (run < n && v->gfn[first + run] == v->gfn[first] + run &&
               v->gfn[first + run] - range->gfn < range->count)
            run++;
    else
        while (run < n && !range_of(gm, v->gfn[first + run]))
            run++;
    return run;
}

/* Bytes that do not begin a page of the file cannot be mapped in place: a copy is read.  0 or -errno. */
static int copy_in(int fd, uint8_t *at, size_t size, uint64_t offset)
{
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -errno;
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, at + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got ? -errno : -EIO; /* the file has shrunk */
        done += (size_t)got;
    }
    return mprotect(at, size, PROT_READ) ? -errno : 0;
}

static int show(int fd, uint8_t *at, size_t size, uint64_t offset)
{
    if (offset % TV_PAGE_SIZE)
        return copy_in(fd, at, size, offset);
    if (mmap(at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
        return -errno;
    /* One page by itself is a probe: what lies around it in the file is not worth reading. */
    if (size == TV_PAGE_SIZE)
        madvise(at, size, MADV_RANDOM);
    return 0;
}

void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    for (uint32_t i = first, run; i < first + n; i += run) {
        const struct image_range *range = range_of(gm, v->gfn[i]);
        uint8_t *at = (uint8_t *)(uintptr_t)v->base + (size_t)i * TV_PAGE_SIZE;
        int err = -TV_EFAULT;

        /* Consecutive frames become one mapping. */
        run = run_length(gm, v, i, first + n - i, range);
        if (range)
            err = show(gm->fd, at, (size_t)run * TV_PAGE_SIZE,
                       range->offset + (v->gfn[i] - range->gfn) * TV_PAGE_SIZE);
        if (err)
            mmap(at, (size_t)run * TV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        for (uint32_t j = 0; j < run; j++)
            v->err[i + j] = err;
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
