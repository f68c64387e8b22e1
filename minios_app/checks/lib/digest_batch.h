/* SPDX-License-Identifier: MIT */
/* Pages that wait to be digested two at a time: some variants take as long for one. */
#ifndef CHECKS_PAIR_H
#define CHECKS_PAIR_H

#include <tinyvmi/cost.h>
#include <tinyvmi/digest.h>

struct tv_pair {
    uint32_t count;
    uint32_t number[2]; /* of each page in its range */
    uint8_t flags[2];   /* the check's own */
    const uint8_t *page[2];
    uint8_t copy[2][TV_PAGE_SIZE]; /* of pages that do not stay where they are */
    uint8_t digest[2][TV_DIGEST_SIZE]; /* tv_pair_digest() */
};

/* Add a page (there is room for it); `stays`: until it is digested, so that no copy is needed.  True: digest now. */
static inline bool tv_pair_add(struct tv_pair *p, uint32_t number, uint8_t flags, const uint8_t *page, bool stays)
{
    p->page[p->count] = stays ? page : memcpy(p->copy[p->count], page, TV_PAGE_SIZE);
    p->number[p->count] = number;
    p->flags[p->count] = flags;
    return ++p->count == 2;
}

/* Digest the pages that wait; how many there are.  None waits any more. */
static inline uint32_t tv_pair_digest(struct tv_pair *p, const struct tv_digest *d)
{
    uint32_t count = p->count;
    uint64_t since;

    if (!count)
        return 0;
    since = tv_cost_begin();
    tv_digest_pages(d, p->page, count, p->digest);
    tv_cost_end(TV_HASHING, since);
    p->count = 0;
    return count;
}

#endif
