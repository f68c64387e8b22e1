/* SPDX-License-Identifier: MIT */
/*
 * BLAKE3 (the BLAKE3 paper): what its variants share.  The constants, and the seven rounds over the variables
 * v0 … v15 and the message m[16], which are single words or vectors of them.  Each variant defines ror16(),
 * ror12(), ror8() and ror7() for its own words.
 */
#ifndef DIGEST_BLAKE3_ROUNDS_H
#define DIGEST_BLAKE3_ROUNDS_H

#define BLOCK 64
#define CHUNK 1024

/* Table 3 */
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

/* 2.2: the initial value, which is that of SHA-256. */
#define INITIAL_VALUE(word)                                                         \
    {                                                                               \
        word(0x6a09e667u), word(0xbb67ae85u), word(0x3c6ef372u), word(0xa54ff53au), \
        word(0x510e527fu), word(0x9b05688cu), word(0x1f83d9abu), word(0x5be0cd19u), \
    }

/* NOLINTBEGIN(bugprone-macro-parentheses): the arguments are names of variables. */
#define G(a, b, c, d, x, y) \
    do {                    \
        a += b + m[x];      \
        d = ror16(d ^ a);   \
        c += d;             \
        b = ror12(b ^ c);   \
        a += b + m[y];      \
        d = ror8(d ^ a);    \
        c += d;             \
        b = ror7(b ^ c);    \
    } while (0)

/* Columns, then diagonals, of the state as a matrix of four rows. */
#define ROUND(w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15) \
    do {                                                                            \
        G(v0, v4, v8, v12, w0, w1);                                                 \
        G(v1, v5, v9, v13, w2, w3);                                                 \
        G(v2, v6, v10, v14, w4, w5);                                                \
        G(v3, v7, v11, v15, w6, w7);                                                \
        G(v0, v5, v10, v15, w8, w9);                                                \
        G(v1, v6, v11, v12, w10, w11);                                              \
        G(v2, v7, v8, v13, w12, w13);                                               \
        G(v3, v4, v9, v14, w14, w15);                                               \
    } while (0)

/* Table 2 permutes the words of the message after each round. */
#define ROUNDS()                                                     \
    do {                                                             \
        ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); \
        ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8); \
        ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1); \
        ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6); \
        ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4); \
        ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7); \
        ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13); \
    } while (0)

/* 2.2, of whose sixteen words only the first eight are ever wanted here. */
#define CHAIN(h)         \
    do {                 \
        h[0] = v0 ^ v8;  \
        h[1] = v1 ^ v9;  \
        h[2] = v2 ^ v10; \
        h[3] = v3 ^ v11; \
        h[4] = v4 ^ v12; \
        h[5] = v5 ^ v13; \
        h[6] = v6 ^ v14; \
        h[7] = v7 ^ v15; \
    } while (0)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
