/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest_mem.h"
#include "mapping_cache.h"

#define NO_CALL UINT32_MAX

struct window {
    uint64_t *shown; /* [npages] the gfn that is mapped there, GFN_NONE: none */
    uint32_t *call;  /* [npages] the first page of the call that mapped it, NO_CALL: nothing is mapped */
    bool *writable;  /* [npages] a page of our own is there, to copy to */
};

/* Nothing is there: a read past v->err faults, and the addresses are given to nothing else. */
static void *clear(void *at, size_t npages)
{
    return mmap(at, npages * TV_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1,
                0);
}

static void free_view(struct guest_view *v, struct window *w)
{
    if (w) {
        free(w->shown);
        free(w->call);
        free(w->writable);
    }
    free(w);
    free(v->gfn);
    free(v->err);
    *v = (struct guest_view){ 0 };
}

int guest_view_reserve(struct guest_mem *gm, struct guest_view *v, uint32_t npages)
{
    struct window *w = calloc(1, sizeof(*w));
    void *base = clear(NULL, npages);

    (void)gm;
    if (w) {
        w->shown = calloc(npages, sizeof(*w->shown));
        w->call = calloc(npages, sizeof(*w->call));
        w->writable = calloc(npages, sizeof(*w->writable));
    }
    v->gfn = calloc(npages, sizeof(*v->gfn));
    v->err = calloc(npages, sizeof(*v->err));
    if (base == MAP_FAILED || !w || !w->shown || !w->call || !w->writable || !v->gfn || !v->err) {
        if (base != MAP_FAILED)
            munmap(base, (size_t)npages * TV_PAGE_SIZE);
        free_view(v, w);
        return -TV_ENOMEM;
    }
    v->base = base;
    v->npages = npages;
    v->platform = w;
    for (uint32_t i = 0; i < npages; i++) {
        w->shown[i] = v->gfn[i] = GFN_NONE;
        w->call[i] = NO_CALL;
        v->err[i] = -TV_EFAULT;
    }
    return 0;
}

static uint8_t *page_of(const struct guest_view *v, uint32_t i)
{
    return (uint8_t *)(uintptr_t)v->base + (size_t)i * TV_PAGE_SIZE;
}

/* Map the `n` frames of `gfn` in one call at page `first`, over nothing or over what whole calls have mapped. */
static void map(struct guest_mem *gm, struct guest_view *v, const uint64_t *gfn, uint32_t first, uint32_t n)
{
    struct window *w = v->platform;
    _Static_assert(sizeof(xen_pfn_t) == sizeof(*gfn), "frames are given to Xen as they are");
    void *at = xenforeignmemory_map2(gm->memory, gm->target, page_of(v, first), PROT_READ, MAP_FIXED, n, gfn,
                                     v->err + first);
    int err = at ? 0 : -errno;

    if (err) /* nothing of it was mapped, and the library has taken the addresses away, too */
        clear(page_of(v, first), n);
    for (uint32_t i = 0; i < n; i++) {
        if (err)
            v->err[first + i] = err;
        w->shown[first + i] = v->err[first + i] ? GFN_NONE : gfn[i];
        w->call[first + i] = err ? NO_CALL : first;
        w->writable[first + i] = false;
    }
}

static void forget(struct guest_view *v, uint32_t first, uint32_t n)
{
    struct window *w = v->platform;

    for (uint32_t i = first; i < first + n; i++) {
        v->err[i] = -TV_EFAULT;
        w->shown[i] = GFN_NONE;
        w->call[i] = NO_CALL;
        w->writable[i] = false;
    }
}

/*
 * Linux keeps the pages of one call together (drivers/xen/privcmd.c) and a
 * translated dom0 frees them together: a mapping must go as a whole.  What a
 * call has mapped beyond [first, first + n) is mapped again by itself.
 */
static void hide(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    struct window *w = v->platform;
    uint32_t from = w->call[first] == NO_CALL ? first : w->call[first], end = first + n, to = end;

    while (to < v->npages && w->call[to] != NO_CALL && w->call[to] == w->call[end - 1])
        to++;
    clear(page_of(v, from), to - from);
    if (from < first)
        map(gm, v, w->shown + from, from, first - from);
    if (end < to)
        map(gm, v, w->shown + end, end, to - end);
    forget(v, first, n);
}

/* How many of the `n` pages from `first` on have a frame to show, or have none, as the first one does. */
static uint32_t run_length(const struct guest_view *v, uint32_t first, uint32_t n)
{
    uint32_t run = 1;

    while (run < n && (v->gfn[first + run] == GFN_NONE) == (v->gfn[first] == GFN_NONE))
        run++;
    return run;
}

/* Take from both ends of [*first, *first + *n) what shows what it should. */
static void trim(const struct guest_view *v, uint32_t *first, uint32_t *n)
{
    const struct window *w = v->platform;

    while (*n && v->gfn[*first] == w->shown[*first]) {
        ++*first;
        --*n;
    }
    while (*n && v->gfn[*first + *n - 1] == w->shown[*first + *n - 1])
        --*n;
}

/*
 * Page `i` by itself: of views that go from frame to frame.  The frame stays
 * mapped elsewhere, and what it holds now is copied to where the view shows it.
 */
static void copy_in(struct guest_mem *gm, struct guest_view *v, uint32_t i)
{
    struct window *w = v->platform;
    const uint8_t *frame = cached_frame(gm, v->gfn[i], &v->err[i]);

    if (w->call[i] != NO_CALL)
        hide(gm, v, i, 1);
    if (!frame) {
        hide(gm, v, i, 1);
        return;
    }
    if (!w->writable[i])
        mprotect(page_of(v, i), TV_PAGE_SIZE, PROT_READ | PROT_WRITE);
    w->writable[i] = true;
    memcpy(page_of(v, i), frame, TV_PAGE_SIZE);
    v->err[i] = 0;
}

void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n)
{
    if (gm->mapping == MAP_BATCHED && n == 1 && v->gfn[first] != GFN_NONE) {
        copy_in(gm, v, first);
        n = 0;
    } else if (gm->mapping == MAP_BATCHED) {
        trim(v, &first, &n);
    }
    for (uint32_t i = first, end = first + n, run; i < end; i += run) {
        run = gm->mapping == MAP_SINGLE ? 1 : run_length(v, i, end - i);
        hide(gm, v, i, run);
        if (v->gfn[i] != GFN_NONE)
            map(gm, v, v->gfn + i, i, run);
    }
}

void guest_view_release(struct guest_mem *gm, struct guest_view *v)
{
    (void)gm;
    if (!v->npages)
        return;
    munmap((void *)(uintptr_t)v->base, (size_t)v->npages * TV_PAGE_SIZE);
    free_view(v, v->platform);
}
