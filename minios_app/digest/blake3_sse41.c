/* SPDX-License-Identifier: MIT */
/* A page's four chunks side by side: a register holds one word of each. */
#include "blake3.h"
#include "blake3_rounds.h"

typedef uint32_t lanes __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));
typedef uint8_t bytes __attribute__((vector_size(16)));
typedef lanes lanes_anywhere __attribute__((aligned(1), may_alias));

#define SHUFFLE __builtin_shufflevector
#define ALL(x)  { (x), (x), (x), (x) }

static const lanes IV[8] = INITIAL_VALUE(ALL);

static lanes ror16(lanes x)
{
    return (lanes)SHUFFLE((bytes)x, (bytes)x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
}

static lanes ror8(lanes x)
{
    return (lanes)SHUFFLE((bytes)x, (bytes)x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
}

#include "blake3_lanes.h"

static lanes load(const uint8_t *p)
{
    return *(const lanes_anywhere *)p;
}

/* Sixteen bytes of each chunk become four words of all. */
static void transpose(lanes m[4], const uint8_t *p)
{
    lanes a = load(p), b = load(p + CHUNK), c = load(p + 2 * CHUNK), d = load(p + 3 * CHUNK);
    halves ab = (halves)SHUFFLE(a, b, 0, 4, 1, 5), cd = (halves)SHUFFLE(c, d, 0, 4, 1, 5);
    halves ab2 = (halves)SHUFFLE(a, b, 2, 6, 3, 7), cd2 = (halves)SHUFFLE(c, d, 2, 6, 3, 7);

    m[0] = (lanes)SHUFFLE(ab, cd, 0, 2);
    m[1] = (lanes)SHUFFLE(ab, cd, 1, 3);
    m[2] = (lanes)SHUFFLE(ab2, cd2, 0, 2);
    m[3] = (lanes)SHUFFLE(ab2, cd2, 1, 3);
}

/* Lanes 0 and 1, and 2 and 3, of the chaining values make the messages of lanes 0 and 1. */
static void parents(lanes h[8], uint32_t root)
{
    const lanes zero = ALL(0);
    lanes m[16];

    for (int i = 0; i < 8; i++) {
        m[i] = SHUFFLE(h[i], h[i], 0, 2, 0, 2);
        m[i + 8] = SHUFFLE(h[i], h[i], 1, 3, 1, 3);
        h[i] = IV[i];
    }
    compress(h, m, zero, PARENT | root);
}

static void digest_page(const uint8_t *page, uint8_t digest[32])
{
    const lanes counter = { 0, 1, 2, 3 };
    lanes h[8], m[16];

    for (int i = 0; i < 8; i++)
        h[i] = IV[i];
    for (uint32_t at = 0; at < CHUNK; at += BLOCK) {
        for (uint32_t i = 0; i < 4; i++)
            transpose(m + 4 * i, page + at + 16 * i);
        compress(h, m, counter, (at == 0 ? CHUNK_START : 0) | (at == CHUNK - BLOCK ? CHUNK_END : 0));
    }
    parents(h, 0);
    parents(h, ROOT);
    for (int i = 0; i < 8; i++)
        memcpy(digest + 4 * i, &h[i], 4);
}

/* Whoever calls this may have been compiled without a thought for the stack's alignment. */
__attribute__((force_align_arg_pointer)) void tv_blake3_sse41(const uint8_t *const page[], uint32_t n,
                                                              uint8_t digest[][32])
{
    for (uint32_t i = 0; i < n; i++)
        digest_page(page[i], digest[i]);
}
