/* SPDX-License-Identifier: MIT */
#include <tinyvmi/crc32.h>

#include "digest_range.h"

#define LINE_MAX 128

bool tv_page_source_read(const struct tv_page_source *s, uint64_t offset, void *dst, size_t n)
{
    uint8_t *out = dst;

    if (!s->cache || !s->cache->block) /* no copies */
        return guest_range_read_at(s->range, offset, dst, n);
    while (n) {
        uint32_t i = (uint32_t)(offset / TV_PAGE_SIZE), at = (uint32_t)(offset % TV_PAGE_SIZE);
        const uint8_t *copy = tv_page_cache_page(s->cache, i);
        size_t part = n < TV_PAGE_SIZE - at ? n : TV_PAGE_SIZE - at;

        if (copy)
            memcpy(out, copy + at, part);
        else if (!guest_range_read_at(s->range, offset, out, part))
            return false;
        out += part;
        offset += part;
        n -= part;
    }
    return true;
}

int tv_verified_range_init(struct tv_verified_range *r, struct tv_kernel *k, uint64_t va, uint32_t npages)
{
    int err = tv_page_cache_init(&r->cache, npages);

    r->source = (struct tv_page_source){ .range = &r->range, .cache = &r->cache };
    return err ? err : tv_range_init(k, &r->range, va, (uint64_t)npages * TV_PAGE_SIZE);
}

void tv_verified_range_deinit(struct tv_verified_range *r, struct tv_kernel *k)
{
    if (r->range.view.npages)
        tv_range_deinit(k, &r->range);
    tv_page_cache_deinit(&r->cache, k->page_cache);
}

static void add64(uint8_t *at, uint64_t addend)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    v += addend;
    memcpy(at, &v, sizeof(v));
}

static void add32(uint8_t *at, uint32_t addend)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    v += addend;
    memcpy(at, &v, sizeof(v));
}

void tv_digest_range_unrelocate(const struct tv_digest_range *g, uint32_t i, uint8_t *page, uint64_t delta)
{
    /* Of its own, since a write to the page might change what `g` leads to, for all that C knows. */
    const uint16_t *reloc = g->relocs + g->reloc_index[i], *end = g->relocs + g->reloc_index[i + 1];

    for (; reloc < end; reloc++) {
        uint8_t *at = page - TV_RELOC_BIAS + TV_RELOC_OFFSET(*reloc);

        switch (TV_RELOC_KIND(*reloc)) {
        case TV_RELOC_64: add64(at, -delta); break;
        case TV_RELOC_32: add32(at, -(uint32_t)delta); break;
        case TV_RELOC_INV32: add32(at, (uint32_t)delta); break;
        }
    }
}

static bool is_changed(const struct tv_changed_page *p, uint32_t line, uint32_t n)
{
    uint32_t sum = tv_crc32(0, p->bytes + (size_t)line * p->line_size, n);
    const uint8_t *expected = (const uint8_t *)p->sums + (size_t)line * p->sum_size;
    uint16_t wide;

    if (p->sum_size == 1)
        return (uint8_t)sum != *expected;
    memcpy(&wide, expected, sizeof(wide));
    return (uint16_t)sum != wide;
}

void tv_report_changed_lines(const struct tv_changed_page *p, const struct tv_page_source *s,
                             struct tv_result *res)
{
    struct tv_finding_args f = p->finding;
    bool found = false;

    TV_ASSERT(p->line_size <= LINE_MAX);
    for (uint32_t line = 0; line * p->line_size < p->size; line++) {
        uint32_t at = line * p->line_size, n = p->size - at < p->line_size ? p->size - at : p->line_size;
        uint8_t actual[LINE_MAX];

        if (!is_changed(p, line, n))
            continue;
        found = true;
        f.offset = p->finding.offset + at;
        f.address = p->finding.address + at;
        f.actual = actual;
        f.actual_size = n;
        if (tv_page_source_read(s, p->offset + at, actual, n))
            tv_report_finding(res, &f);
    }
    if (!found)
        tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_PAGE_DIGEST,
                                                          .symbol = p->finding.symbol,
                                                          .offset = p->finding.offset,
                                                          .address = p->finding.address,
                                                          .expected = p->expected,
                                                          .expected_size = TV_DIGEST_SIZE,
                                                          .actual = p->digest,
                                                          .actual_size = TV_DIGEST_SIZE });
}

void tv_digest_range_report(const struct tv_digest_range *g, uint32_t i, const uint8_t *bytes,
                            const uint8_t *digest, const struct tv_finding_args *line,
                            const struct tv_page_source *s, struct tv_result *res)
{
    struct tv_changed_page page = { .bytes = bytes,
                                    .size = tv_digest_range_size(g, i),
                                    .line_size = TV_LINE_SIZE,
                                    .sums = g->lines[i],
                                    .sum_size = sizeof(g->lines[i][0]),
                                    .offset = (uint64_t)i * TV_PAGE_SIZE,
                                    .expected = g->digests[i],
                                    .digest = digest,
                                    .finding = *line };

    tv_report_changed_lines(&page, s, res);
}
