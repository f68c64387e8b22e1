/* SPDX-License-Identifier: MIT */
/* By the processor's own instructions (Intel SDM, SHA256RNDS2, SHA256MSG1, SHA256MSG2): four rounds a step. */
#include "sha256.h"

typedef uint32_t words __attribute__((vector_size(16)));
typedef int32_t operand __attribute__((vector_size(16))); /* as the compilers' built-in functions have it */
typedef uint8_t bytes __attribute__((vector_size(16)));
typedef bytes bytes_anywhere __attribute__((aligned(1), may_alias));

#define SHUFFLE          __builtin_shufflevector
#define ROUNDS2(x, y, k) (words) __builtin_ia32_sha256rnds2((operand)(x), (operand)(y), (operand)(k))
#define MSG1(x, y)       (words) __builtin_ia32_sha256msg1((operand)(x), (operand)(y))
#define MSG2(x, y)       (words) __builtin_ia32_sha256msg2((operand)(x), (operand)(y))

/* FIPS 180-4, 4.2.2 */
static const words K[16] = {
    { 0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u },
    { 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u },
    { 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u },
    { 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u },
    { 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu },
    { 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau },
    { 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u },
    { 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u },
    { 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u },
    { 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u },
    { 0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u },
    { 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u },
    { 0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u },
    { 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u },
    { 0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u },
    { 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u },
};

/* Four big-endian words. */
static words load(const uint8_t *p)
{
    bytes b = *(const bytes_anywhere *)p;

    return (words)SHUFFLE(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

/* The two halves of the state change places with each two rounds. */
#define ROUNDS4(i, w)                                          \
    do {                                                       \
        words k = K[i] + w;                                    \
        cdgh = ROUNDS2(cdgh, abef, k);                         \
        abef = ROUNDS2(abef, cdgh, SHUFFLE(k, k, 2, 3, 0, 0)); \
    } while (0)

/* The next four words of the message schedule, from the last sixteen. */
#define EXTEND(w, x, y, z) w = MSG2(MSG1(w, x) + SHUFFLE(y, z, 1, 2, 3, 4), z)

/* Whoever calls this may have been compiled without a thought for the stack's alignment. */
__attribute__((force_align_arg_pointer)) void tv_sha256_sha_ni(uint32_t h[8], const uint8_t *p, size_t n)
{
    words abef = { h[5], h[4], h[1], h[0] }, cdgh = { h[7], h[6], h[3], h[2] };

    for (; n; n--, p += 64) {
        words abef0 = abef, cdgh0 = cdgh;
        words w0 = load(p), w1 = load(p + 16), w2 = load(p + 32), w3 = load(p + 48);

        ROUNDS4(0, w0);
        ROUNDS4(1, w1);
        ROUNDS4(2, w2);
        ROUNDS4(3, w3);
        EXTEND(w0, w1, w2, w3);
        ROUNDS4(4, w0);
        EXTEND(w1, w2, w3, w0);
        ROUNDS4(5, w1);
        EXTEND(w2, w3, w0, w1);
        ROUNDS4(6, w2);
        EXTEND(w3, w0, w1, w2);
        ROUNDS4(7, w3);
        EXTEND(w0, w1, w2, w3);
        ROUNDS4(8, w0);
        EXTEND(w1, w2, w3, w0);
        ROUNDS4(9, w1);
        EXTEND(w2, w3, w0, w1);
        ROUNDS4(10, w2);
        EXTEND(w3, w0, w1, w2);
        ROUNDS4(11, w3);
        EXTEND(w0, w1, w2, w3);
        ROUNDS4(12, w0);
        EXTEND(w1, w2, w3, w0);
        ROUNDS4(13, w1);
        EXTEND(w2, w3, w0, w1);
        ROUNDS4(14, w2);
        EXTEND(w3, w0, w1, w2);
        ROUNDS4(15, w3);
        abef += abef0;
        cdgh += cdgh0;
    }
    h[0] = abef[3], h[1] = abef[2], h[4] = abef[1], h[5] = abef[0];
    h[2] = cdgh[3], h[3] = cdgh[2], h[6] = cdgh[1], h[7] = cdgh[0];
}
