/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "page_cache.h"

/* Flags are passed over eight at a time. */
#define EIGHT(flag) (UINT64_C(0x0101010101010101) * (flag))

#define RESERVE (UINT32_C(1) << 20) /* bytes that copies leave to others */

static uint32_t block_count(const struct tv_page_cache *c)
{
    return (c->npages + TV_PAGE_CACHE_BLOCK - 1) / TV_PAGE_CACHE_BLOCK;
}

static void free_copies(struct tv_page_cache *c)
{
    if (!c->block)
        return;
    for (uint32_t b = 0; b < block_count(c); b++)
        if (c->block[b])
            tv_free(c->block[b]);
    tv_free(c->block);
    c->block = NULL;
}

static void alloc_copies(struct tv_page_cache *c)
{
    void *reserve;

    c->block = tv_alloc(block_count(c) * sizeof(*c->block));
    for (uint32_t b = 0; c->block && b < block_count(c); b++) {
        uint32_t left = c->npages - b * TV_PAGE_CACHE_BLOCK;

        c->block[b] =
            tv_alloc((size_t)(left < TV_PAGE_CACHE_BLOCK ? left : TV_PAGE_CACHE_BLOCK) * TV_PAGE_SIZE);
        if (!c->block[b])
            free_copies(c);
    }
    reserve = tv_alloc(RESERVE);
    if (reserve)
        tv_free(reserve);
    else
        free_copies(c);
}

int tv_page_cache_init(struct tv_page_cache *c, uint32_t npages)
{
    *c = (struct tv_page_cache){ .npages = npages };
    c->flags =
        tv_alloc((npages + 15) & ~UINT32_C(7)); /* what follows the last is not set: nothing to do there */
    return c->flags ? 0 : -TV_ENOMEM;
}

/* Where the pages of a range are counted. */
static uint32_t *count_of(const struct tv_page_cache *c, struct tv_page_cache_tally *tally)
{
    return c->block ? &tally->cached : &tally->digested;
}

bool tv_page_cache_has_copies(struct tv_page_cache *c, struct tv_page_cache_tally *tally)
{
    if (!c->tried && tv_config.keep_bytes) {
        alloc_copies(c);
        *count_of(c, tally) += c->npages;
    }
    c->tried = true;
    return c->block;
}

void tv_page_cache_count_digested(struct tv_page_cache_tally *tally, uint32_t npages)
{
    tally->digested += tally->reported ? 0 : npages; /* it is asked for again in each scan */
}

void tv_page_cache_deinit(struct tv_page_cache *c, struct tv_page_cache_tally *tally)
{
    if (c->tried && tv_config.keep_bytes)
        *count_of(c, tally) -= c->npages;
    free_copies(c);
    if (c->flags)
        tv_free(c->flags);
    *c = (struct tv_page_cache){ 0 };
}

void tv_page_cache_invalidate(struct tv_page_cache *c)
{
    for (uint32_t i = 0; i < c->npages; i++)
        c->flags[i] &= (uint8_t)~TV_PAGE_VALID;
}

static void invalidate(struct tv_page_cache *c, uint32_t i)
{
    if (i < c->npages)
        c->flags[i] &= (uint8_t)~TV_PAGE_VALID;
}

/* Are the pages at `a` and `b` the same?  Each word is read once, and no register but general ones is used. */
static bool same(const uint8_t *a, const uint8_t *b)
{
    uint64_t words = TV_PAGE_SIZE / 8;
    bool equal;

    __asm__ volatile("repe cmpsq" : "+S"(a), "+D"(b), "+c"(words), "=@cce"(equal) : : "memory");
    return equal;
}

bool tv_page_cache_update(struct tv_page_cache *c, uint32_t i, const struct guest_view *v, uint32_t at)
{
    const uint8_t *shown = v->base + (size_t)at * TV_PAGE_SIZE;
    bool there = v->err[at] == 0;

    if (there && (c->flags[i] & TV_PAGE_COPIED) && same(shown, tv_page_cache_copy(c, i)))
        return true;
    if (there)
        memcpy(tv_page_cache_copy(c, i), shown, TV_PAGE_SIZE);
    c->flags[i] = (uint8_t)((c->flags[i] & TV_PAGE_DUE) | (there ? TV_PAGE_COPIED : 0));
    invalidate(c, i - 1);
    invalidate(c, i + 1);
    return there;
}

void tv_page_cache_update_part(struct tv_page_cache *c, struct tv_kernel *k, const struct guest_view *v,
                               uint32_t first, uint32_t end)
{
    uint64_t since = tv_cost_begin(k->costs);

    for (uint32_t i = first; i < end; i++)
        tv_page_cache_update(c, i, v, i);
    tv_cost_end(k->costs, TV_PHASE_READING, since);
}

void tv_page_cache_update_due(struct tv_page_cache *c, struct tv_kernel *k, const struct guest_view *v)
{
    uint64_t since = tv_cost_begin(k->costs);

    for (uint32_t i = tv_page_cache_next_due(c, 0); i < c->npages; i = tv_page_cache_next_due(c, i + 1))
        tv_page_cache_update(c, i, v, i);
    tv_cost_end(k->costs, TV_PHASE_READING, since);
}

static uint64_t eight(const struct tv_page_cache *c, uint32_t i)
{
    uint64_t flags;

    __builtin_memcpy(&flags, c->flags + i, sizeof(flags)); /* one load, not a call */
    return flags;
}

uint32_t tv_page_cache_next_due(const struct tv_page_cache *c, uint32_t i)
{
    while (i < c->npages && !(c->flags[i] & TV_PAGE_DUE)) {
        if (i % 8 == 0 && !(eight(c, i) & EIGHT(TV_PAGE_DUE)))
            i += 8;
        else
            i++;
    }
    return i < c->npages ? i : c->npages;
}

/* Does page `i` lead to a frame that is not tracked? */
static bool is_orphan(const struct tv_range *r, uint32_t i, const struct tv_dirty *dirty)
{
    return r->view.gfn[i] - dirty->first >= dirty->count;
}

/* Is page `i` to be checked? */
static bool is_due(const struct tv_page_cache *c, const struct tv_range *r, uint32_t i,
                   const struct tv_dirty *dirty)
{
    uint64_t at = r->view.gfn[i] - dirty->first;

    return !(c->flags[i] & TV_PAGE_VALID) || r->view.err[i] == -TV_EAGAIN || is_orphan(r, i, dirty) ||
           (dirty->bits[at / 8] >> at % 8 & 1);
}

/* Mark what is due: of all pages, or if nothing was written or moved, of those that were not valid. */
static void mark(struct tv_page_cache *c, const struct tv_range *r, const struct tv_dirty *dirty, bool all)
{
    for (uint32_t i = 0; i < c->npages; i += 8) {
        uint64_t flags = eight(c, i) & ~EIGHT(TV_PAGE_DUE);
        uint32_t end = i + 8 < c->npages ? i + 8 : c->npages;

        __builtin_memcpy(c->flags + i, &flags, sizeof(flags));
        if (!all && (flags & EIGHT(TV_PAGE_VALID)) == EIGHT(TV_PAGE_VALID))
            continue;
        for (uint32_t j = i; j < end; j++)
            if (is_due(c, r, j, dirty))
                c->flags[j] |= TV_PAGE_DUE;
    }
}

/* Mark those whose turn it is. */
static void mark_turn(struct tv_page_cache *c)
{
    uint32_t share = c->block ? (c->npages + TV_PAGE_TURNS - 1) / TV_PAGE_TURNS : 0;
    uint32_t first = c->turn * share;

    for (uint32_t i = first; i < first + share && i < c->npages; i++)
        c->flags[i] |= TV_PAGE_DUE;
    c->turn = (c->turn + 1) % TV_PAGE_TURNS;
}

bool tv_page_cache_refresh_due(struct tv_page_cache *c, struct tv_kernel *k, struct tv_range *r,
                               const struct tv_dirty *dirty)
{
    bool moved, any = false;

    tv_range_walk(k, r, 0, r->npages);
    moved = r->moved;
    r->moved = false;
    if (moved) {
        c->orphans = false;
        for (uint32_t i = 0; i < c->npages; i++)
            c->orphans = c->orphans || is_orphan(r, i, dirty);
    }
    mark(c, r, dirty, moved || c->orphans || dirty->any);
    mark_turn(c);
    for (uint32_t i = tv_page_cache_next_due(c, 0), n; i < c->npages; i = tv_page_cache_next_due(c, i + n)) {
        for (n = 1; i + n < c->npages && (c->flags[i + n] & TV_PAGE_DUE); n++)
            ;
        tv_view_map(k, &r->view, i, n);
        any = true;
    }
    return any;
}
