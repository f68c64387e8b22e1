/* SPDX-License-Identifier: MIT */
/* BLAKE3 without a key (the BLAKE3 paper, section 2); the code is generated from templates/c/blake3*.c.j2. */
#ifndef TINYVMI_BLAKE3_H
#define TINYVMI_BLAKE3_H

#include <tinyvmi/types.h>

/* Digest of a page, which is four chunks: as many as fit side by side into vector registers. */
typedef void tv_blake3_page(const uint8_t page[TV_PAGE_SIZE], uint8_t digest[32]);

tv_blake3_page tv_blake3_portable;
tv_blake3_page tv_blake3_sse41; /* needs TV_UNIT_SSE41; not in every image, nor is the next */
tv_blake3_page tv_blake3_avx2;  /* needs TV_UNIT_AVX2 */

/* Digest of `data`: by `page` if it is one whole page, else by portable code. */
void tv_blake3(tv_blake3_page *page, const void *data, size_t n, uint8_t digest[32]);

#endif
