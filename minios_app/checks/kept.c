/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>
#include <tinyvmi/platform.h>

#include "kept.h"

/* With a heap's header this fills a MiB, which even an allocator of powers of two gives without waste. */
#define TV_KEPT_BLOCK 255

#define LEFT (UINT32_C(1) << 20) /* bytes that copies leave to others */

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
    s->flags = tv_alloc(npages + 1);
    return s->flags ? 0 : -TV_ENOMEM;
}

bool tv_kept_ready(struct tv_kept *s)
{
    if (!s->tried && tv_config.keep_bytes)
        alloc_copies(s);
    s->tried = true;
    return s->block;
}

void tv_kept_close(struct tv_kept *s)
{
    free_copies(s);
    if (s->flags)
        tv_free(s->flags);
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

const uint8_t *tv_kept_page(const struct tv_kept *s, uint32_t i)
{
    return s->block && i < s->npages && (s->flags[i] & TV_KEPT_HAVE) ? copy_of(s, i) : NULL;
}

/* Is page `i`, which leads to `gfn`, in want of a look? */
static bool wanted(const struct tv_kept *s, const struct tv_range *r, uint32_t i, const struct tv_dirty *dirty)
{
    uint64_t at = r->view.gfn[i] - dirty->first;

    if (!(s->flags[i] & TV_KEPT_GOOD))
        return true;
    if (r->view.err[i] == -TV_EAGAIN || at >= dirty->count)
        return true;
    return dirty->bits[at / 8] >> at % 8 & 1;
}

uint32_t tv_kept_revisit(struct tv_kept *s, struct tv_kernel *k, struct tv_range *r, const struct tv_dirty *dirty)
{
    uint32_t share = s->block ? (s->npages + TV_KEPT_TURNS - 1) / TV_KEPT_TURNS : 0, found = 0;
    uint32_t first = s->turn * share;

    s->turn = (s->turn + 1) % TV_KEPT_TURNS;
    tv_range_walk(k, r, 0, r->npages);
    for (uint32_t i = 0; i < s->npages; i++) {
        s->flags[i] &= (uint8_t)~TV_KEPT_LOOK;
        if (i - first < share || wanted(s, r, i, dirty)) {
            s->flags[i] |= TV_KEPT_LOOK;
            found++;
        }
    }
    for (uint32_t i = 0, n; i < s->npages; i += n + 1) {
        for (n = 0; i + n < s->npages && (s->flags[i + n] & TV_KEPT_LOOK); n++)
            ;
        if (n)
            guest_view_map(k->gm, &r->view, i, n);
    }
    return found;
}
