/* SPDX-License-Identifier: MIT */
/*
 * The digest of pages.  An image has one algorithm (`[golden] hash`); a run uses the fastest of its variants
 * that processor and platform allow (docs/design/digests.md).
 */
#ifndef TINYVMI_DIGEST_H
#define TINYVMI_DIGEST_H

#include <tinyvmi/types.h>

#define TV_DIGEST_SIZE    32
#define TV_DIGEST_SCRATCH (1 + TV_PAGE_SIZE) /* bytes that the self-test needs */

struct tv_digest_variant; /* digest/variants.h */

struct tv_digest {
    const struct tv_digest_variant *variant; /* the chosen one */
};

/*
 * Compute known answers by each variant that may be used, and choose the fastest.  False if one is wrong: then
 * no digest of this run may be trusted, though one can still ask for the name of the portable variant.
 */
bool tv_digest_init(struct tv_digest *d, uint8_t scratch[TV_DIGEST_SCRATCH]);

/* Digest of `n` bytes at any alignment; TV_PAGE_SIZE is the size that is fast. */
void tv_digest_bytes(const struct tv_digest *d, const void *data, size_t n, uint8_t digest[TV_DIGEST_SIZE]);

/* Digests of `n` whole pages: an even number takes up to half as long as one by one. */
void tv_digest_pages(const struct tv_digest *d, const uint8_t *const page[], uint32_t n,
                     uint8_t digest[][TV_DIGEST_SIZE]);

/* Algorithm and variant, e.g. "sha256/portable". */
const char *tv_digest_name(const struct tv_digest *d);

#endif
