/* SPDX-License-Identifier: MIT */
/* BLAKE3 without a key (the BLAKE3 paper, section 2). */
#ifndef DIGEST_BLAKE3_H
#define DIGEST_BLAKE3_H

#include <tinyvmi/types.h>

/* Digests of `n` pages.  A page is four chunks: as many as fit side by side into registers of 16 bytes. */
typedef void tv_blake3_code(const uint8_t *const page[], uint32_t n, uint8_t digest[][32]);

tv_blake3_code tv_blake3_portable;
tv_blake3_code tv_blake3_sse41; /* needs TV_UNIT_SSE41; not in every image, nor is the next */
tv_blake3_code tv_blake3_avx2;  /* needs TV_UNIT_AVX2; two pages take as long as one */

/* Digest of `size` bytes: by `code` if they are one whole page, else by portable code. */
void tv_blake3(tv_blake3_code *code, const void *data, size_t size, uint8_t digest[32]);

/* Digests of `n` whole pages. */
void tv_blake3_pages(tv_blake3_code *code, const uint8_t *const page[], uint32_t n, uint8_t digest[][32]);

#endif
