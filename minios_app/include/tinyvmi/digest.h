/* SPDX-License-Identifier: MIT */
/*
 * The digest of pages, of one algorithm for each image (`[golden] digest`), computed by that one of its
 * variants that is the fastest of those that the processor and the platform allow.  The code is generated (docs/design/digests.md).
 */
#ifndef TINYVMI_DIGEST_H
#define TINYVMI_DIGEST_H

#include <tinyvmi/types.h>

#define TV_DIGEST_SIZE 32

/* Digest of `n` bytes at any alignment; TV_PAGE_SIZE is the size that is fast. */
void tv_digest(const void *data, size_t n, uint8_t digest[TV_DIGEST_SIZE]);

/* Digests of `n` whole pages: an even number takes up to half as long as one by one. */
void tv_digest_pages(const uint8_t *const page[], uint32_t n, uint8_t digest[][TV_DIGEST_SIZE]);

/*
 * Compute known answers by each variant that may be used, and choose the fastest; before that tv_digest()
 * is the portable one.  False means that one is wrong, and that no digest of this run may be trusted.
 */
bool tv_digest_start(void);

/* Algorithm and variant, e.g. "sha256/portable". */
const char *tv_digest_name(void);

#endif
