/* SPDX-License-Identifier: MIT */
/*
 * The four chunks of each of two pages side by side: a register holds one word of each chunk, those of
 * the first page in its lower half.
 */
#include "blake3.h"
#include "blake3_rounds.h"

typedef uint32_t lanes __attribute__((vector_size(32)));
typedef uint64_t halves __attribute__((vector_size(32)));
typedef uint8_t bytes __attribute__((vector_size(32)));
typedef uint32_t quad __attribute__((vector_size(16)));
typedef quad quad_anywhere __attribute__((aligned(1), may_alias));

#define SHUFFLE __builtin_shufflevector
#define ALL(x)  { (x), (x), (x), (x), (x), (x), (x), (x) }

static const lanes IV[8] = INITIAL_VALUE(ALL);

static lanes ror16(lanes x)
{
    return (lanes)SHUFFLE((bytes)x, (bytes)x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 18, 19,
                          16, 17, 22, 23, 20, 21, 26, 27, 24, 25, 30, 31, 28, 29);
}

static lanes ror8(lanes x)
{
    return (lanes)SHUFFLE((bytes)x, (bytes)x, 1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12, 17, 18,
                          19, 16, 21, 22, 23, 20, 25, 26, 27, 24, 29, 30, 31, 28);
}

#include "blake3_lanes.h"

static lanes load(const uint8_t *p, const uint8_t *q)
{
    return SHUFFLE(*(const quad_anywhere *)p, *(const quad_anywhere *)q, 0, 1, 2, 3, 4, 5, 6, 7);
}

/* Sixteen bytes of each chunk become four words of all. */
static void transpose(lanes m[4], const uint8_t *p, const uint8_t *q)
{
    lanes a = load(p, q), b = load(p + CHUNK, q + CHUNK);
    lanes c = load(p + 2 * CHUNK, q + 2 * CHUNK), d = load(p + 3 * CHUNK, q + 3 * CHUNK);
    halves ab = (halves)SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13),
           cd = (halves)SHUFFLE(c, d, 0, 8, 1, 9, 4, 12, 5, 13);
    halves ab2 = (halves)SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    halves cd2 = (halves)SHUFFLE(c, d, 2, 10, 3, 11, 6, 14, 7, 15);

    m[0] = (lanes)SHUFFLE(ab, cd, 0, 4, 2, 6);
    m[1] = (lanes)SHUFFLE(ab, cd, 1, 5, 3, 7);
    m[2] = (lanes)SHUFFLE(ab2, cd2, 0, 4, 2, 6);
    m[3] = (lanes)SHUFFLE(ab2, cd2, 1, 5, 3, 7);
}

/* Lanes 0 and 1, and 2 and 3, of each page's chaining values make the messages of its lanes 0 and 1. */
static void parents(lanes h[8], uint32_t root)
{
    const lanes zero = ALL(0);
    lanes m[16];

    for (int i = 0; i < 8; i++) {
        m[i] = SHUFFLE(h[i], h[i], 0, 2, 0, 2, 4, 6, 4, 6);
        m[i + 8] = SHUFFLE(h[i], h[i], 1, 3, 1, 3, 5, 7, 5, 7);
        h[i] = IV[i];
    }
    compress(h, m, zero, PARENT | root);
}

static void digest_two(const uint8_t *p, const uint8_t *q, uint8_t digest[32], uint8_t digest2[32])
{
    const lanes counter = { 0, 1, 2, 3, 0, 1, 2, 3 };
    lanes h[8], m[16];

    for (int i = 0; i < 8; i++)
        h[i] = IV[i];
    for (uint32_t at = 0; at < CHUNK; at += BLOCK) {
        for (uint32_t i = 0; i < 4; i++)
            transpose(m + 4 * i, p + at + 16 * i, q + at + 16 * i);
        compress(h, m, counter, (at == 0 ? CHUNK_START : 0) | (at == CHUNK - BLOCK ? CHUNK_END : 0));
    }
    parents(h, 0);
    parents(h, ROOT);
    for (int i = 0; i < 8; i++) {
        memcpy(digest2 + 4 * i, (const uint8_t *)&h[i] + 16, 4);
        memcpy(digest + 4 * i, &h[i], 4);
    }
}

/* Whoever calls this may have been compiled without a thought for the stack's alignment. */
__attribute__((force_align_arg_pointer)) void tv_blake3_avx2(const uint8_t *const page[], uint32_t n,
                                                             uint8_t digest[][32])
{
    for (uint32_t i = 0; i + 1 < n; i += 2)
        digest_two(page[i], page[i + 1], digest[i], digest[i + 1]);
    if (n % 2)
        digest_two(page[n - 1], page[n - 1], digest[n - 1], digest[n - 1]);
    __builtin_ia32_vzeroupper(); /* upper halves in use would slow all SSE down that follows */
}
