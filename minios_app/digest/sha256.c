/* SPDX-License-Identifier: MIT */
#include "sha256.h"

/* FIPS 180-4, 4.2.2: fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u,
};

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* One round; the caller renames the variables instead of moving their values. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                                   \
    do {                                                                                                   \
        uint32_t t = h + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + w[(i) & 15]; \
        d += t;                                                                                            \
        h = t + (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | (c & (a | b)));                         \
    } while (0)

/* The message schedule in place, sixteen words at a time. */
#define EXTEND(i)                                                                                            \
    (w[(i) & 15] += (ror(w[((i) + 14) & 15], 17) ^ ror(w[((i) + 14) & 15], 19) ^ w[((i) + 14) & 15] >> 10) + \
                    w[((i) + 9) & 15] +                                                                      \
                    (ror(w[((i) + 1) & 15], 7) ^ ror(w[((i) + 1) & 15], 18) ^ w[((i) + 1) & 15] >> 3))

static void block(uint32_t s[8], const uint8_t *p)
{
    uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    uint32_t w[16];

    for (int i = 0; i < 16; i++)
        w[i] = be32(p + 4 * i);
    for (int i = 0; i < 64; i += 8) {
        if (i >= 16)
            for (int j = i; j < i + 8; j++)
                EXTEND(j);
        ROUND(a, b, c, d, e, f, g, h, i);
        ROUND(h, a, b, c, d, e, f, g, i + 1);
        ROUND(g, h, a, b, c, d, e, f, i + 2);
        ROUND(f, g, h, a, b, c, d, e, i + 3);
        ROUND(e, f, g, h, a, b, c, d, i + 4);
        ROUND(d, e, f, g, h, a, b, c, i + 5);
        ROUND(c, d, e, f, g, h, a, b, i + 6);
        ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    s[0] += a;
    s[1] += b;
    s[2] += c;
    s[3] += d;
    s[4] += e;
    s[5] += f;
    s[6] += g;
    s[7] += h;
}

void tv_sha256_portable(uint32_t h[8], const uint8_t *p, size_t n)
{
    for (; n; n--, p += 64)
        block(h, p);
}

void tv_sha256(tv_sha256_code *code, const void *data, size_t size, uint8_t digest[32])
{
    /* 5.3.3: fractional parts of the square roots of the first 8 primes. */
    uint32_t h[8] = {
        0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
        0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u,
    };
    const uint8_t *p = data;
    uint64_t bits = (uint64_t)size * 8;
    uint8_t tail[128];
    size_t rest, padded;

    code(h, p, size / 64);
    rest = size % 64;
    padded = rest < 56 ? 64 : 128;
    memset(tail, 0, sizeof(tail));
    if (rest)
        memcpy(tail, p + size - rest, rest);
    tail[rest] = 0x80;
    put_be32(tail + padded - 8, (uint32_t)(bits >> 32));
    put_be32(tail + padded - 4, (uint32_t)bits);
    code(h, tail, padded / 64);
    for (int i = 0; i < 8; i++)
        put_be32(digest + 4 * i, h[i]);
}

void tv_sha256_pages(tv_sha256_code *code, const uint8_t *const page[], uint32_t n, uint8_t digest[][32])
{
    for (uint32_t i = 0; i < n; i++)
        tv_sha256(code, page[i], TV_PAGE_SIZE, digest[i]);
}
