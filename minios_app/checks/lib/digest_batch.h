/* SPDX-License-Identifier: MIT */
/* Pages that wait to be digested two at a time: some variants take as long for one. */
#ifndef CHECKS_DIGEST_BATCH_H
#define CHECKS_DIGEST_BATCH_H

#include <tinyvmi/kernel.h>

struct tv_digest_batch {
    uint32_t count;
    uint32_t number[2]; /* of each page in its range */
    uint8_t flags[2];   /* the check's own */
    const uint8_t *page[2];
    uint8_t copy[2][TV_PAGE_SIZE];     /* of pages that do not stay where they are */
    uint8_t digest[2][TV_DIGEST_SIZE]; /* tv_digest_batch_run() */
};

/* Add a page (there is room for it); `stays`: until it is digested, so that no copy is needed.  True: digest now. */
static inline bool tv_digest_batch_add(struct tv_digest_batch *b, uint32_t number, uint8_t flags,
                                       const uint8_t *page, bool stays)
{
    TV_ASSERT(b->count < 2);
    b->page[b->count] = stays ? page : memcpy(b->copy[b->count], page, TV_PAGE_SIZE);
    b->number[b->count] = number;
    b->flags[b->count] = flags;
    return ++b->count == 2;
}

/* Digest the pages that wait; how many there are.  None waits any more. */
static inline uint32_t tv_digest_batch_run(struct tv_digest_batch *b, struct tv_kernel *k)
{
    uint32_t count = b->count;
    uint64_t since;

    if (!count)
        return 0;
    since = tv_cost_begin(k->costs);
    tv_digest_pages(k->digest, b->page, count, b->digest);
    tv_cost_end(k->costs, TV_PHASE_HASHING, since);
    b->count = 0;
    return count;
}

#endif
