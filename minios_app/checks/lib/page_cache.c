/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>
#include <tinyvmi/cost.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "page_cache.h"

/* With a heap's header this fills a MiB, which even an allocator of powers of two gives without waste. */
#define TV_KEPT_BLOCK 255

/* Flags are passed over eight at a time. */
#define EIGHT(flag) (UINT64_C(0x0101010101010101) * (flag))

#define LEFT (UINT32_C(1) << 20) /* bytes that copies leave to others */

/* Of all ranges of the kernel that is watched, which ends when none is open any more. */
static uint32_t open_ranges, kept_pages, digested_pages;
static bool told; /* that there is too little memory */

static uint32_t block_count(const struct tv_kept *s)
{
    return (s->npages + TV_KEPT_BLOCK - 1) / TV_KEPT_BLOCK;
}

static void free_copies(struct tv_kept *s)
{
    if (!s->block)
        return;
    for (uint32_t b = 0; b < block_count(s); b++)
        if (s->block[b])
            tv_free(s->block[b]);
    tv_free(s->block);
    s->block = NULL;
}

static void alloc_copies(struct tv_kept *s)
{
    void *rest;

    s->block = tv_alloc(block_count(s) * sizeof(*s->block));
    for (uint32_t b = 0; s->block && b < block_count(s); b++) {
        uint32_t left = s->npages - b * TV_KEPT_BLOCK;

        s->block[b] = tv_alloc((size_t)(left < TV_KEPT_BLOCK ? left : TV_KEPT_BLOCK) * TV_PAGE_SIZE);
        if (!s->block[b])
            free_copies(s);
    }
    rest = tv_alloc(LEFT);
    if (rest)
        tv_free(rest);
    else
        free_copies(s);
}

int tv_kept_open(struct tv_kept *s, uint32_t npages)
{
    *s = (struct tv_kept){ .npages = npages };
    s->flags = tv_alloc((npages + 15) & ~UINT32_C(7)); /* what follows the last is not set: nothing to do there */
    if (!s->flags)
        return -TV_ENOMEM;
    open_ranges++;
    return 0;
}

/* Where the pages of a range are counted. */
static uint32_t *tally(const struct tv_kept *s)
{
    return s->block ? &kept_pages : &digested_pages;
}

bool tv_kept_ready(struct tv_kept *s)
{
    if (!s->tried && tv_config.keep_bytes) {
        alloc_copies(s);
        *tally(s) += s->npages;
    }
    s->tried = true;
    return s->block;
}

void tv_kept_lack(uint32_t npages)
{
    digested_pages += told ? 0 : npages; /* it is asked for again in each scan */
}

void tv_kept_tell(void)
{
    if (told || !digested_pages)
        return;
    told = true;
    tv_rec_begin("memory");
    tv_rec_uint("cached", kept_pages);
    tv_rec_uint("digested", digested_pages);
    tv_rec_end();
}

void tv_kept_close(struct tv_kept *s)
{
    if (s->tried && tv_config.keep_bytes)
        *tally(s) -= s->npages;
    free_copies(s);
    if (s->flags) {
        tv_free(s->flags);
        if (--open_ranges == 0) {
            told = false; /* another kernel may find more room, or less */
            digested_pages = 0;
        }
    }
    *s = (struct tv_kept){ 0 };
}

void tv_kept_doubt(struct tv_kept *s)
{
    for (uint32_t i = 0; i < s->npages; i++)
        s->flags[i] &= (uint8_t)~TV_KEPT_GOOD;
}

static void doubt(struct tv_kept *s, uint32_t i)
{
    if (i < s->npages)
        s->flags[i] &= (uint8_t)~TV_KEPT_GOOD;
}

static uint8_t *copy_of(const struct tv_kept *s, uint32_t i)
{
    return s->block[i / TV_KEPT_BLOCK] + (size_t)(i % TV_KEPT_BLOCK) * TV_PAGE_SIZE;
}

/* Are the pages at `a` and `b` the same?  Each word is read once, and no register but general ones is used. */
static bool same(const uint8_t *a, const uint8_t *b)
{
    uint64_t words = TV_PAGE_SIZE / 8;
    bool equal;

    __asm__ volatile("repe cmpsq" : "+S"(a), "+D"(b), "+c"(words), "=@cce"(equal) : : "memory");
    return equal;
}

bool tv_kept_look(struct tv_kept *s, uint32_t i, const struct guest_view *v, uint32_t at)
{
    const uint8_t *shown = v->base + (size_t)at * TV_PAGE_SIZE;
    bool there = v->err[at] == 0;

    if (there && (s->flags[i] & TV_KEPT_HAVE) && same(shown, copy_of(s, i)))
        return true;
    if (there)
        memcpy(copy_of(s, i), shown, TV_PAGE_SIZE);
    s->flags[i] = (uint8_t)((s->flags[i] & TV_KEPT_LOOK) | (there ? TV_KEPT_HAVE : 0));
    doubt(s, i - 1);
    doubt(s, i + 1);
    return there;
}

void tv_kept_look_part(struct tv_kept *s, const struct guest_view *v, uint32_t first, uint32_t end)
{
    uint64_t since = tv_cost_begin();

    for (uint32_t i = first; i < end; i++)
        tv_kept_look(s, i, v, i);
    tv_cost_end(TV_READING, since);
}

void tv_kept_look_marked(struct tv_kept *s, const struct guest_view *v)
{
    uint64_t since = tv_cost_begin();

    for (uint32_t i = tv_kept_next(s, 0); i < s->npages; i = tv_kept_next(s, i + 1))
        tv_kept_look(s, i, v, i);
    tv_cost_end(TV_READING, since);
}

const uint8_t *tv_kept_page(const struct tv_kept *s, uint32_t i)
{
    return s->block && i < s->npages && (s->flags[i] & TV_KEPT_HAVE) ? copy_of(s, i) : NULL;
}

static uint64_t eight(const struct tv_kept *s, uint32_t i)
{
    uint64_t flags;

    __builtin_memcpy(&flags, s->flags + i, sizeof(flags)); /* one load, not a call */
    return flags;
}

uint32_t tv_kept_next(const struct tv_kept *s, uint32_t i)
{
    while (i < s->npages && !(s->flags[i] & TV_KEPT_LOOK)) {
        if (i % 8 == 0 && !(eight(s, i) & EIGHT(TV_KEPT_LOOK)))
            i += 8;
        else
            i++;
    }
    return i < s->npages ? i : s->npages;
}

/* Does page `i` lead to a frame that is not tracked? */
static bool strays(const struct tv_range *r, uint32_t i, const struct tv_dirty *dirty)
{
    return r->view.gfn[i] - dirty->first >= dirty->count;
}

/* Is page `i` in want of a look? */
static bool wanted(const struct tv_kept *s, const struct tv_range *r, uint32_t i, const struct tv_dirty *dirty)
{
    uint64_t at = r->view.gfn[i] - dirty->first;

    return !(s->flags[i] & TV_KEPT_GOOD) || r->view.err[i] == -TV_EAGAIN || strays(r, i, dirty) ||
           (dirty->bits[at / 8] >> at % 8 & 1);
}

/* Mark what is wanted: of all pages, or if nothing was written or moved of those that were not right. */
static void mark(struct tv_kept *s, const struct tv_range *r, const struct tv_dirty *dirty, bool all)
{
    for (uint32_t i = 0; i < s->npages; i += 8) {
        uint64_t flags = eight(s, i) & ~EIGHT(TV_KEPT_LOOK);
        uint32_t end = i + 8 < s->npages ? i + 8 : s->npages;

        __builtin_memcpy(s->flags + i, &flags, sizeof(flags));
        if (!all && (flags & EIGHT(TV_KEPT_GOOD)) == EIGHT(TV_KEPT_GOOD))
            continue;
        for (uint32_t j = i; j < end; j++)
            if (wanted(s, r, j, dirty))
                s->flags[j] |= TV_KEPT_LOOK;
    }
}

/* Mark those whose turn it is. */
static void mark_turn(struct tv_kept *s)
{
    uint32_t share = s->block ? (s->npages + TV_KEPT_TURNS - 1) / TV_KEPT_TURNS : 0;
    uint32_t first = s->turn * share;

    for (uint32_t i = first; i < first + share && i < s->npages; i++)
        s->flags[i] |= TV_KEPT_LOOK;
    s->turn = (s->turn + 1) % TV_KEPT_TURNS;
}

bool tv_kept_revisit(struct tv_kept *s, struct tv_kernel *k, struct tv_range *r, const struct tv_dirty *dirty)
{
    bool moved, any = false;

    tv_range_walk(k, r, 0, r->npages);
    moved = r->moved;
    r->moved = false;
    if (moved) {
        s->strays = false;
        for (uint32_t i = 0; i < s->npages; i++)
            s->strays = s->strays || strays(r, i, dirty);
    }
    mark(s, r, dirty, moved || s->strays || dirty->any);
    mark_turn(s);
    for (uint32_t i = tv_kept_next(s, 0), n; i < s->npages; i = tv_kept_next(s, i + n)) {
        for (n = 1; i + n < s->npages && (s->flags[i + n] & TV_KEPT_LOOK); n++)
            ;
        guest_view_map(k->gm, &r->view, i, n);
        any = true;
    }
    return any;
}
