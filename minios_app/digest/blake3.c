/* SPDX-License-Identifier: MIT */
#include "blake3.h"
#include "blake3_rounds.h"

#define DEPTH_MAX 54 /* of a tree over 2^64 bytes */

#define WORD(x) x

static const uint32_t IV[8] = INITIAL_VALUE(WORD);

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

#define ror16(x) ror(x, 16)
#define ror12(x) ror(x, 12)
#define ror8(x)  ror(x, 8)
#define ror7(x)  ror(x, 7)

/* 2.2 */
static void compress(uint32_t h[8], const uint32_t m[16], uint64_t counter, uint32_t size, uint32_t flags)
{
    uint32_t v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3];
    uint32_t v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    uint32_t v8 = IV[0], v9 = IV[1], v10 = IV[2], v11 = IV[3];
    uint32_t v12 = (uint32_t)counter, v13 = (uint32_t)(counter >> 32), v14 = size, v15 = flags;

    ROUNDS();
    CHAIN(h);
}

/* The little-endian words of a block of which `n` bytes are there. */
static void words(uint32_t m[16], const uint8_t *p, size_t n)
{
    memset(m, 0, BLOCK);
    if (n)
        memcpy(m, p, n);
}

/* 2.4: the chaining value of chunk number `counter`, of 0 to CHUNK bytes. */
static void chunk(uint32_t h[8], const uint8_t *p, size_t n, uint64_t counter, uint32_t root)
{
    uint32_t m[16], flags = CHUNK_START;

    memcpy(h, IV, sizeof(IV));
    for (; n > BLOCK; n -= BLOCK, p += BLOCK) {
        words(m, p, BLOCK);
        compress(h, m, counter, BLOCK, flags);
        flags = 0;
    }
    words(m, p, n);
    compress(h, m, counter, (uint32_t)n, flags | CHUNK_END | root);
}

/* 2.5: `right` becomes the parent of both. */
static void parent(const uint32_t left[8], uint32_t right[8], uint32_t root)
{
    uint32_t m[16];

    memcpy(m, left, 32);
    memcpy(m + 8, right, 32);
    memcpy(right, IV, sizeof(IV));
    compress(right, m, 0, BLOCK, PARENT | root);
}

/* 2.1: each left subtree is the largest whole one that leaves something for the right. */
static void tree(const uint8_t *p, size_t n, uint8_t digest[32])
{
    uint32_t stack[DEPTH_MAX][8], h[8];
    uint64_t counter = 0;
    int depth = 0;

    for (; n > CHUNK; n -= CHUNK, p += CHUNK) {
        chunk(h, p, CHUNK, counter++, 0);
        for (uint64_t whole = counter; !(whole & 1); whole >>= 1)
            parent(stack[--depth], h, 0);
        memcpy(stack[depth++], h, sizeof(h));
    }
    chunk(h, p, n, counter, depth ? 0 : ROOT);
    while (depth--)
        parent(stack[depth], h, depth ? 0 : ROOT);
    memcpy(digest, h, 32);
}

void tv_blake3_portable(const uint8_t *const page[], uint32_t n, uint8_t digest[][32])
{
    for (uint32_t i = 0; i < n; i++)
        tree(page[i], TV_PAGE_SIZE, digest[i]);
}

void tv_blake3(tv_blake3_code *code, const void *data, size_t size, uint8_t digest[32])
{
    const uint8_t *page = data;

    if (size == TV_PAGE_SIZE)
        code(&page, 1, (uint8_t (*)[32])digest);
    else
        tree(data, size, digest);
}

void tv_blake3_pages(tv_blake3_code *code, const uint8_t *const page[], uint32_t n, uint8_t digest[][32])
{
    code(page, n, digest);
}
