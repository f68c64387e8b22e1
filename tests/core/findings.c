/* SPDX-License-Identifier: MIT */
/* findings.c and digest_range.c: what is stored of a finding, and which lines of a page are reported. */
#include "checks/lib/digest_range.h"

#include <tinyvmi/crc32.h>

void reset(void);
void report(const char *symbol, const char *note, uint32_t kind, uint32_t size);
uint32_t findings(void);
uint32_t lasting(void);
const char *symbol(uint32_t i);
const char *note(uint32_t i);
uint32_t actual_size(uint32_t i);
uint64_t offset(uint32_t i);
uint32_t kind(uint32_t i);
bool report_to_nobody(void);
void lines(const uint8_t *before, const uint8_t *now, uint32_t size, uint32_t line_size, uint32_t sum_size);

static struct tv_result result;
static const uint8_t *shown;

void reset(void)
{
    memset(&result, 0xff, sizeof(result)); /* what is not counted may hold anything */
    tv_result_reset(&result);
}

void report(const char *symbol_, const char *note_, uint32_t kind_, uint32_t size)
{
    static const uint8_t bytes[4096];

    tv_report_finding(
        &result, &(struct tv_finding_args){
                     .kind = kind_, .symbol = symbol_, .note = note_, .actual = bytes, .actual_size = size });
}

bool report_to_nobody(void)
{
    tv_report_finding(NULL, &(struct tv_finding_args){ .kind = TV_KIND_BYTES });
    tv_report_notice(NULL, &(struct tv_finding_args){ .kind = TV_KIND_BYTES });
    return result.findings == 0 && result.notices == 0;
}

uint32_t findings(void)
{
    return result.findings;
}

uint32_t lasting(void)
{
    return result.lasting;
}

const char *symbol(uint32_t i)
{
    return result.finding[i].symbol;
}

const char *note(uint32_t i)
{
    return result.finding[i].note;
}

uint32_t actual_size(uint32_t i)
{
    return result.finding[i].actual_size;
}

uint64_t offset(uint32_t i)
{
    return result.finding[i].offset;
}

uint32_t kind(uint32_t i)
{
    return result.finding[i].kind;
}

/* Report the lines of a page that was `before` and is `now`, its sums of so many bytes each. */
void lines(const uint8_t *before, const uint8_t *now, uint32_t size, uint32_t line_size, uint32_t sum_size)
{
    uint8_t sums[2 * TV_PAGE_SIZE / 64];
    uint8_t digest[TV_DIGEST_SIZE] = { 1 };
    struct tv_range range = { .npages = 1 };
    struct tv_page_source source = { .range = &range };
    struct tv_changed_page page = { .bytes = now,
                                    .size = size,
                                    .line_size = line_size,
                                    .sums = sums,
                                    .sum_size = sum_size,
                                    .expected = digest,
                                    .digest = digest,
                                    .finding = {
                                        .kind = TV_KIND_BYTES, .symbol = "page", .offset = 0x1000 } };

    for (uint32_t at = 0, n = 0; at < size; at += line_size, n++) {
        uint32_t sum = tv_crc32(0, before + at, size - at < line_size ? size - at : line_size);

        memcpy(sums + n * sum_size, &sum, sum_size); /* the low bytes */
    }
    shown = now;
    reset();
    tv_report_changed_lines(&page, &source, &result);
}

bool guest_view_read(const struct guest_view *v, uint64_t offset, void *dst, size_t n)
{
    (void)v;
    memcpy(dst, shown + offset, n);
    return true;
}

int tv_page_cache_init(struct tv_page_cache *c, uint32_t npages)
{
    (void)c;
    (void)npages;
    return 0;
}

void tv_page_cache_deinit(struct tv_page_cache *c, struct tv_page_cache_tally *tally)
{
    (void)c;
    (void)tally;
}

int tv_range_init(struct tv_kernel *k, struct tv_range *r, uint64_t link_va, uint64_t size)
{
    (void)k;
    (void)r;
    (void)link_va;
    (void)size;
    return 0;
}

void tv_range_deinit(struct tv_kernel *k, struct tv_range *r)
{
    (void)k;
    (void)r;
}
