/* SPDX-License-Identifier: MIT */
#include <tinyvmi/platform.h>

#include "variants.h"

#define TRIES 5 /* the variant is chosen by the shortest of so many */

void tv_digest_bytes(const struct tv_digest *d, const void *data, size_t n, uint8_t digest[TV_DIGEST_SIZE])
{
    tv_digest_variant_bytes(d->variant, data, n, digest);
}

void tv_digest_pages(const struct tv_digest *d, const uint8_t *const page[], uint32_t n,
                     uint8_t digest[][TV_DIGEST_SIZE])
{
    tv_digest_variant_pages(d->variant, page, n, digest);
}

const char *tv_digest_name(const struct tv_digest *d)
{
    return d->variant->name;
}

/* Several pages at once have the digests that each has alone. */
static bool are_pages_right(const struct tv_digest_variant *v, const uint8_t *message)
{
    const uint8_t *const page[3] = { message, message + 1, message };
    uint8_t digest[3][TV_DIGEST_SIZE], alone[TV_DIGEST_SIZE];

    tv_digest_variant_pages(v, page, 3, digest);
    for (int i = 0; i < 3; i++) {
        tv_digest_variant_bytes(v, page[i], TV_PAGE_SIZE, alone);
        if (memcmp(digest[i], alone, sizeof(alone)) != 0)
            return false;
    }
    return true;
}

/* Digested from byte 1 of the message on: not aligned, as copies of pages are not. */
static bool is_right(const struct tv_digest_variant *v, const uint8_t *message)
{
    for (uint32_t i = 0; i < tv_known_digest_count; i++) {
        uint8_t digest[TV_DIGEST_SIZE];

        tv_digest_variant_bytes(v, message + 1, tv_known_digests[i].size, digest);
        if (memcmp(digest, tv_known_digests[i].digest, sizeof(digest)) != 0)
            return false;
    }
    return are_pages_right(v, message);
}

/* Nanoseconds for some pages: the least of a few tries, since anything may interrupt. */
static uint64_t cost(const struct tv_digest_variant *v, const uint8_t *message)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        const uint8_t *const page[] = { message, message + 1, message, message + 1 };
        uint8_t digest[TV_ARRAY_SIZE(page)][TV_DIGEST_SIZE];
        uint64_t from = tv_now_ns(), took;

        tv_digest_variant_pages(v, page, TV_ARRAY_SIZE(page), digest);
        took = tv_now_ns() - from;
        if (took < least)
            least = took;
    }
    return least;
}

/* Which is the fastest differs from processor to processor, and is another under emulation. */
bool tv_digest_init(struct tv_digest *d, uint8_t scratch[TV_DIGEST_SCRATCH])
{
    uint32_t units = tv_vector_units();
    uint64_t least = UINT64_MAX;

    d->variant = &tv_digest_variants[0];
    scratch[0] = 0;
    for (uint32_t i = 0; i < TV_PAGE_SIZE; i++)
        scratch[1 + i] = (uint8_t)(i % TV_KNOWN_MODULUS);
    for (uint32_t i = 0; i < tv_digest_variant_count; i++) {
        const struct tv_digest_variant *v = &tv_digest_variants[i];
        uint64_t ns;

        if (!v->code.any || (v->needs & ~units))
            continue;
        if (!is_right(v, scratch))
            return false;
        ns = cost(v, scratch);
        if (ns <= least) {
            least = ns;
            d->variant = v;
        }
    }
    return true;
}
