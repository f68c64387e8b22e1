/* SPDX-License-Identifier: MIT */
/*
 * BLAKE3 of several chunks side by side: what is the same however many lanes a register has.  The variant has
 * defined `lanes`, ALL(x), IV, ror16() and ror8() for its registers.
 */
#ifndef DIGEST_BLAKE3_LANES_H
#define DIGEST_BLAKE3_LANES_H

static lanes ror12(lanes x)
{
    return x >> 12 | x << 20;
}

static lanes ror7(lanes x)
{
    return x >> 7 | x << 25;
}

/* As in blake3.c, of a whole block in each lane. */
static void compress(lanes h[8], const lanes m[16], lanes counter, uint32_t flags)
{
    lanes v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3];
    lanes v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    lanes v8 = IV[0], v9 = IV[1], v10 = IV[2], v11 = IV[3];
    lanes v12 = counter, v13 = ALL(0), v14 = ALL(BLOCK), v15 = ALL(flags);

    ROUNDS();
    CHAIN(h);
}

#endif
