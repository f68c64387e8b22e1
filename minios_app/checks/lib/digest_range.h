/* SPDX-License-Identifier: MIT */
/*
 * Pages that are compared by digest: the layout of their golden values, and what every check does with them.  The
 * relocation of KASLR is taken back, the page is digested, and if the digest differs, the changed lines are found
 * and reported as they were read.
 */
#ifndef CHECKS_DIGEST_RANGE_H
#define CHECKS_DIGEST_RANGE_H

#include <tinyvmi/finding.h>
#include <tinyvmi/golden.h>

#include "page_cache.h"

/* Pages compared by digest, after the KASLR relocation is taken back. */
#define TV_LINE_SIZE      64 /* bytes of a locator line */
#define TV_LINES_PER_PAGE (TV_PAGE_SIZE / TV_LINE_SIZE)

enum tv_reloc_kind { /* arch/x86/tools/relocs.c: how the delta was applied */
                     TV_RELOC_64 = 0,
                     TV_RELOC_32 = 1,
                     TV_RELOC_INV32 = 2, /* subtracted: per-CPU references */
};
/* A relocation: kind in bits 15..14; in the others its offset from 8 bytes
 * before the page, so that one which began in the page before can be named. */
#define TV_RELOC_BIAS      8
#define TV_RELOC_KIND(r)   ((enum tv_reloc_kind)((r) >> 14))
#define TV_RELOC_OFFSET(r) ((uint32_t)((r) & 0x3fffu))

_Static_assert(TV_RELOC_BIAS + TV_PAGE_SIZE <= 1 << 14, "an offset of a relocation has bits 13..0");
_Static_assert(TV_RELOC_INV32 < 4, "its kind has bits 15..14");
_Static_assert(TV_LINES_PER_PAGE == 64, "checks/lib/digest_range.py makes 64 sums of a page");

/*
 * A constant that the kernel itself cuts up at boot: strsep() over it turns
 * every comma into a NUL (set_rdt_options, on Skylake-X).  Whole or wholly cut
 * is as the package allows; anything between is not.
 */
struct tv_cut_string {
    uint32_t offset; /* from the range's va */
    const char *text; /* as in the file */
};

struct tv_digest_range {
    const char *symbol; /* the symbol at `va` */
    uint64_t va;        /* page aligned */
    uint32_t npages;
    uint32_t last_size;              /* bytes of the last page that are compared */
    const uint8_t (*digests)[32];    /* [npages] of each page's bytes in the file */
    const uint32_t *reloc_index;     /* [npages + 1] into relocs */
    const uint16_t *relocs;
    /* [npages][64]: low 16 bits of the CRC-32 of each line.  They only say where
     * in a page whose digest differs the change is; they verify nothing. */
    const uint16_t (*lines)[TV_LINES_PER_PAGE];
    const struct tv_cut_string *cuts; /* [cut_count] */
    uint32_t cut_count;
};

/* Where the bytes of a range are read: what the cache holds, if it does, else what the view shows. */
struct tv_page_source {
    const struct tv_range *range;
    const struct tv_page_cache *cache; /* or NULL */
};

/* `n` bytes from `offset` of the range on: just those that are, or were, checked.  False if a page is not there. */
bool tv_page_source_read(const struct tv_page_source *s, uint64_t offset, void *dst, size_t n);

/* A range of the kernel whose pages are verified, and what is known of them from earlier scans. */
struct tv_verified_range {
    struct tv_range range;
    struct tv_page_cache cache;
    struct tv_page_source source; /* of both */
};

/* `npages` pages from link address `va` on.  0 or -TV_ENOMEM; deinit() may follow either. */
int tv_verified_range_init(struct tv_verified_range *r, struct tv_kernel *k, uint64_t va, uint32_t npages);
void tv_verified_range_deinit(struct tv_verified_range *r, struct tv_kernel *k);

/* How much of page `i` is compared. */
static inline uint32_t tv_digest_range_size(const struct tv_digest_range *g, uint32_t i)
{
    return i + 1 < g->npages ? TV_PAGE_SIZE : g->last_size;
}

/* Bring page `i` back to the bytes of the file; `page` has TV_RELOC_BIAS bytes before it, and 8 behind it. */
void tv_digest_range_unrelocate(const struct tv_digest_range *g, uint32_t i, uint8_t *page, uint64_t delta);

/* A page whose digest differs. */
struct tv_changed_page {
    const uint8_t *bytes; /* as it was digested */
    uint32_t size;
    uint32_t line_size;   /* of a line that has a sum of its own */
    const void
        *sums; /* [lines] low bits of each line's CRC-32: where the change is, not whether there is one */
    uint32_t sum_size; /* 1 or 2 bytes */
    uint64_t offset; /* of the page, in the source */
    const uint8_t *expected, *digest;
    struct tv_finding_args
        finding; /* of a line: kind, symbol, note; offset and address of the page's first byte */
};

/* Report each line that differs; if none does (an attacker can make the sums fit), the page by its digest. */
void tv_report_changed_lines(const struct tv_changed_page *p, const struct tv_page_source *s,
                             struct tv_result *res);

/* The same for page `i` of a range; `line` as in struct tv_changed_page. */
void tv_digest_range_report(const struct tv_digest_range *g, uint32_t i, const uint8_t *bytes,
                            const uint8_t *digest, const struct tv_finding_args *line,
                            const struct tv_page_source *s, struct tv_result *res);

#endif
