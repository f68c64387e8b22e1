/* SPDX-License-Identifier: MIT */
/*
 * ro-after-init: golden values.
 */
#ifndef CHECKS_RO_AFTER_INIT_H
#define CHECKS_RO_AFTER_INIT_H

#include "lib/digest_range.h"

/*
 * ro_after_init: its pages' digests are of the expected bytes with zeros in
 * the runs.  Offsets are from the first page.
 */
enum tv_boot_kind {
    TV_BOOT_VALUE = 0,
    TV_BOOT_CONSTANT = 1,
    TV_BOOT_ENCODING = 2
}; /* others are checked elsewhere */
struct tv_boot_run { /* never over a page's end */
    uint16_t at;        /* in the page */
    uint16_t kind_size; /* kind << 13 | bytes */
};
_Static_assert(TV_BOOT_ENCODING < 8, "the kind of a run has bits 15..13");
_Static_assert(TV_PAGE_SIZE <= 0x1fff, "its size has bits 12..0");

struct tv_boot_number {
    uint64_t number;
    bool moves; /* a link address */
};
struct tv_boot_constant { /* values[first .. end) */
    uint32_t offset, size, first, end;
};
#define TV_BOOT_CODE_MAX 16
struct tv_boot_encoding { /* codes[first .. end) */
    uint32_t offset, size, first, end;
};
struct tv_call_site { /* struct static_call_site, from _text, modulo 2^32 */
    uint32_t site, key; /* with the key's bits: 1 a tail call, 2 in code that is given back */
};
struct tv_ro_after_init {
    struct tv_digest_range range;
    uint32_t first; /* offset of __start_ro_after_init */
    const uint32_t *run_index; /* [npages + 1] into runs */
    const struct tv_boot_run *runs;
    const struct tv_boot_number *values;
    const struct tv_boot_constant *constants; /* [constant_count] */
    const uint8_t (*codes)[TV_BOOT_CODE_MAX];
    const struct tv_boot_encoding *encodings; /* [encoding_count] */
    const struct tv_call_site *sites; /* [site_count] by key without its bits, site, key */
    uint32_t sites_at; /* offset of the table */
    uint32_t constant_count, encoding_count, site_count;
    uint32_t array_at, array_size; /* __per_cpu_offset, in bytes; 0: it is not here */
    struct tv_boot_number array_value; /* of those that belong to no processor */
    uint64_t nr_cpu_ids;           /* link address */
};

TV_GOLDEN(tv_ro_after_init_golden, struct tv_ro_after_init, TV_CHECK_RO_AFTER_INIT)

#endif
