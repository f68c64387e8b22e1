/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4). */
#ifndef DIGEST_SHA256_H
#define DIGEST_SHA256_H

#include <tinyvmi/types.h>

/* Take `n` blocks of 64 bytes into the state `h` (FIPS 180-4, 6.2.2). */
typedef void tv_sha256_code(uint32_t h[8], const uint8_t *p, size_t n);

tv_sha256_code tv_sha256_portable;
tv_sha256_code tv_sha256_sha_ni; /* needs TV_UNIT_SHA; not in every image */

/* Digest of `size` bytes, whose blocks are taken in by `code`. */
void tv_sha256(tv_sha256_code *code, const void *data, size_t size, uint8_t digest[32]);

/* Digests of `n` whole pages. */
void tv_sha256_pages(tv_sha256_code *code, const uint8_t *const page[], uint32_t n, uint8_t digest[][32]);

#endif
