/* SPDX-License-Identifier: MIT */
/*
 * What is known of the pages of a range from earlier scans and, with
 * `golden.comparison = "bytes"`, copies of them.
 *
 * A copy is taken before a page is checked, and the copy is what is checked: so
 * exactly what was verified is cached.  A later scan compares the target's page
 * with the copy, each word read once, straight from the mapping: no digest, no
 * copy.  A page is checked together with some bytes of its neighbours, so a page
 * that has changed makes its neighbours uncertain, too.
 */
#ifndef CHECKS_PAGE_CACHE_H
#define CHECKS_PAGE_CACHE_H

#include <tinyvmi/check.h>

#define TV_PAGE_COPIED  1 /* there is a copy */
#define TV_PAGE_VALID   2 /* and it, with its neighbours, was verified */
#define TV_PAGE_DEPENDS 4 /* what is right in it depends on more of the target than the check compares */
#define TV_PAGE_DUE     8 /* tv_page_cache_refresh_due(): check it now */

/* Pages of a block: with a heap's header they fill a MiB, which even an allocator of powers of two gives whole. */
#define TV_PAGE_CACHE_BLOCK 255

struct tv_page_cache {
    uint8_t *flags; /* [npages] TV_PAGE_* */
    uint8_t **block; /* copies of some pages each; NULL: there are none */
    uint32_t npages;
    uint32_t turn; /* of tv_page_cache_refresh_due() */
    bool orphans; /* some page led to a frame that is not tracked when this was asked last */
    bool tried; /* to get memory for copies */
};

/* Pages of all ranges of the kernel that is watched: the monitor reports it if memory was short. */
struct tv_page_cache_tally {
    uint32_t cached, digested;
    bool reported; /* that there is too little memory */
};

/* Memory for what is known of `npages` pages.  0 or -TV_ENOMEM. */
int tv_page_cache_init(struct tv_page_cache *c, uint32_t npages);
void tv_page_cache_deinit(struct tv_page_cache *c, struct tv_page_cache_tally *tally);

/*
 * Are there copies?  The first call, in the first scan, when every check has the
 * memory that it cannot do without, asks for theirs.  False: they are not
 * configured, or too little would be left; the pages are then digested.
 */
bool tv_page_cache_has_copies(struct tv_page_cache *c, struct tv_page_cache_tally *tally);

/* `npages` pages are digested because not even what is known of them could be kept in memory. */
void tv_page_cache_count_digested(struct tv_page_cache_tally *tally, uint32_t npages);

/* Nothing is known to be valid any more. */
void tv_page_cache_invalidate(struct tv_page_cache *c);

/* Bring copy `i` up to what the view shows at its page `at`.  False, and there is no copy, if it shows nothing. */
bool tv_page_cache_update(struct tv_page_cache *c, uint32_t i, const struct guest_view *v, uint32_t at);

/* The same of pages `first` to `end`, which the view shows at the same numbers; counted as reading (cost.h). */
void tv_page_cache_update_part(struct tv_page_cache *c, struct tv_kernel *k, const struct guest_view *v,
                               uint32_t first, uint32_t end);

/* And of those that are due. */
void tv_page_cache_update_due(struct tv_page_cache *c, struct tv_kernel *k, const struct guest_view *v);

/* Where copy `i` is, or would be. */
static inline uint8_t *tv_page_cache_copy(const struct tv_page_cache *c, uint32_t i)
{
    return c->block[i / TV_PAGE_CACHE_BLOCK] + (size_t)(i % TV_PAGE_CACHE_BLOCK) * TV_PAGE_SIZE;
}

/* Copy `i`, or NULL. */
static inline const uint8_t *tv_page_cache_page(const struct tv_page_cache *c, uint32_t i)
{
    return c->block && i < c->npages && (c->flags[i] & TV_PAGE_COPIED) ? tv_page_cache_copy(c, i) : NULL;
}

/*
 * For an incremental check: walk the page tables again and mark with TV_PAGE_DUE
 * the pages that the target has written, that were not valid, that lead to
 * another frame or to one that is not tracked, and, if there are copies, those
 * whose turn it is: all of them within TV_PAGE_TURNS calls.  Those pages are
 * mapped anew.  Are there any?
 */
#define TV_PAGE_TURNS 100
bool tv_page_cache_refresh_due(struct tv_page_cache *c, struct tv_kernel *k, struct tv_range *r,
                               const struct tv_dirty *dirty);

/* The first page from `i` on that is due; npages: none. */
uint32_t tv_page_cache_next_due(const struct tv_page_cache *c, uint32_t i);

#endif
