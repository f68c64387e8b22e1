/* SPDX-License-Identifier: MIT */
/*
 * The variants of the image's digest.  An image has one algorithm: of blake3_variants.c and sha256_variants.c
 * one is compiled.  A variant whose file is not compiled has no code (its symbol is weak) and is passed over.
 */
#ifndef DIGEST_VARIANTS_H
#define DIGEST_VARIANTS_H

#include <tinyvmi/digest.h>

#include "blake3.h"
#include "sha256.h"

struct tv_digest_variant {
    const char *name;
    uint32_t needs; /* of tv_vector_units() */
    union {
        tv_blake3_code *blake3;
        tv_sha256_code *sha256;
        void (*any)(void); /* NULL: it is not in this image */
    } code;
};

/* A digest of the first `size` bytes of 0, 1, …, 250, 0, 1, … (the message of BLAKE3's own test vectors). */
struct tv_known_digest {
    uint32_t size;
    uint8_t digest[TV_DIGEST_SIZE];
};
#define TV_KNOWN_MODULUS 251

/* The first runs everywhere; as a rule each is faster than those before it. */
extern const struct tv_digest_variant tv_digest_variants[];
extern const uint32_t tv_digest_variant_count;

/* Around an algorithm's borders, and a whole page. */
extern const struct tv_known_digest tv_known_digests[];
extern const uint32_t tv_known_digest_count;

void tv_digest_variant_bytes(const struct tv_digest_variant *v, const void *data, size_t n,
                             uint8_t digest[TV_DIGEST_SIZE]);
void tv_digest_variant_pages(const struct tv_digest_variant *v, const uint8_t *const page[], uint32_t n,
                             uint8_t digest[][TV_DIGEST_SIZE]);

#endif
