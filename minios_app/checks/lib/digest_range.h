/* SPDX-License-Identifier: MIT */
/*
 * Pages that are compared by digest: the layout of their golden values.
 */
#ifndef CHECKS_DIGEST_RANGE_H
#define CHECKS_DIGEST_RANGE_H

#include <tinyvmi/golden.h>

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
    const uint8_t (*digests)[32];    /* [npages] SHA-256 of each page's bytes in the file */
    const uint32_t *reloc_index;     /* [npages + 1] into relocs */
    const uint16_t *relocs;
    /* [npages][64]: low 16 bits of the CRC-32 of each line.  They only say where
     * in a page that the digest has condemned the change is; they judge nothing. */
    const uint16_t (*lines)[TV_LINES_PER_PAGE];
    const struct tv_cut_string *cuts; /* [cut_count] */
    uint32_t cut_count;
};

#endif
