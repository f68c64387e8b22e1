/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4); the code is generated from templates/c/sha256*.c.j2. */
#ifndef TINYVMI_SHA256_H
#define TINYVMI_SHA256_H

#include <tinyvmi/types.h>

/* Take `n` blocks of 64 bytes into the state `h` (FIPS 180-4, 6.2.2). */
typedef void tv_sha256_blocks(uint32_t h[8], const uint8_t *p, size_t n);

tv_sha256_blocks tv_sha256_portable;
tv_sha256_blocks tv_sha256_sha_ni; /* needs TV_UNIT_SHA; not in every image */

/* Digest of `data`, whose blocks are taken in by `blocks`. */
void tv_sha256(tv_sha256_blocks *blocks, const void *data, size_t n, uint8_t digest[32]);

#endif
