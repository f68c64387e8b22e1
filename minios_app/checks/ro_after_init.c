/* SPDX-License-Identifier: MIT */
/*
 * ro-after-init: what the kernel writes while it boots and then maps read-only.
 * One pass over its pages: places with values of their own are checked, then
 * blanked; the rest is brought back to link addresses and digested.  The sites
 * of static calls, which are sorted at boot, are compared as a set.
 */
#include "ro_after_init.h"

#include "lib/code_owner.h"
#include "text/golden.h"

#define SITES_MAX   (1u << 17) /* for which there is a bit to say that one was seen */
#define MODULES     UINT64_C(0xffffffffc0000000) /* MODULES_VADDR, asm/pgtable_64_types.h */
#define MODULES_END UINT64_C(0xffffffffff000000)

struct ro_after_init_check {
    const struct tv_ro_after_init *g;
    struct tv_verified_range pages;
    uint32_t items, cpus; /* of the last scan, if nothing was wrong then */
    uint8_t page_room[TV_RELOC_BIAS + TV_PAGE_SIZE + 8];
    uint8_t seen[SITES_MAX / 8];
};

/* The page that is checked, in our own memory. */
static uint8_t *page_of(struct ro_after_init_check *c)
{
    return c->page_room + TV_RELOC_BIAS;
}

static int init(void *context, struct tv_kernel *k)
{
    struct ro_after_init_check *c = context;
    int err;

    c->g = tv_ro_after_init_golden(k);
    if (!c->g)
        return 0;
    if (c->g->site_count > SITES_MAX)
        return -TV_EINVAL;
    err = tv_verified_range_init(&c->pages, k, c->g->range.va, c->g->range.npages);
    if (err)
        tv_verified_range_deinit(&c->pages, k);
    return err;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct ro_after_init_check *c = context;

    if (c->g)
        tv_verified_range_deinit(&c->pages, k);
}

/* `n` bytes at `offset` of the range. */
static bool read(const struct ro_after_init_check *c, uint32_t offset, void *dst, uint32_t n)
{
    return tv_page_source_read(&c->pages.source, offset, dst, n);
}

/* Report `f`, of what stands at `offset` of the range. */
static void report(const struct ro_after_init_check *c, uint32_t offset, struct tv_finding_args f,
                   struct tv_result *res)
{
    f.symbol = c->g->range.symbol;
    f.offset = (uint64_t)offset - c->g->first;
    f.address = c->pages.range.va + offset;
    tv_report_finding(res, &f);
}

/* Words that depend on the machine: only where they lead is checked. */
static void check_values(struct ro_after_init_check *c, struct tv_kernel *k, uint32_t offset, uint32_t size,
                         struct tv_result *res)
{
    uint64_t text = k->profile->text_va + k->delta, text_end = text;

    if (tv_text_golden(k))
        text_end += (uint64_t)tv_text_golden(k)->range.npages * TV_PAGE_SIZE;
    for (uint32_t at = (offset + 7) & ~7u; at + 8 <= offset + size; at += 8) {
        const char *note = NULL;
        uint64_t v;

        memcpy(&v, page_of(c) + at % TV_PAGE_SIZE, sizeof(v));
        if (v >= text && v < text_end && tv_code_entry(k, v) != TV_CODE_KERNEL)
            note = "it leads into the kernel's code, but to no function";
        else if (v > MODULES && v < MODULES_END &&
                 v % TV_PAGE_SIZE) /* bounds of areas are known (execmem_info) */
            note = "it leads to a module, and is older than any module";
        if (note)
            report(c, at,
                   (struct tv_finding_args){
                       .kind = TV_KIND_BOOT_VALUE, .actual = &v, .actual_size = sizeof(v), .note = note },
                   res);
    }
}

/* What is not to be digested in page `i`: check boot values, then blank it. */
static void take_out(struct ro_after_init_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    const struct tv_ro_after_init *g = c->g;

    for (uint32_t n = g->run_index[i]; n < g->run_index[i + 1]; n++) {
        uint32_t at = g->runs[n].at, size = g->runs[n].kind_size & 0x1fff;

        if (g->runs[n].kind_size >> 13 == TV_BOOT_VALUE)
            check_values(c, k, i * TV_PAGE_SIZE + at, size, res);
        memset(page_of(c) + at, 0, size);
    }
}

static void check_page(struct ro_after_init_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    const struct tv_digest_range *g = &c->g->range;
    struct tv_finding_args line = { .kind = TV_KIND_BYTES,
                                    .symbol = g->symbol,
                                    .offset = (uint64_t)i * TV_PAGE_SIZE - c->g->first,
                                    .address = c->pages.range.va + (uint64_t)i * TV_PAGE_SIZE,
                                    .note = "a line of a page whose digest differs" };
    uint8_t digest[TV_DIGEST_SIZE];
    uint64_t since;

    if (!read(c, i * TV_PAGE_SIZE, page_of(c), TV_PAGE_SIZE)) {
        res->missing++;
        return;
    }
    take_out(c, k, i, res);
    tv_digest_range_unrelocate(g, i, page_of(c), k->delta);
    since = tv_cost_begin(k->costs);
    tv_digest_bytes(k->digest, page_of(c), tv_digest_range_size(g, i), digest);
    tv_cost_end(k->costs, TV_PHASE_HASHING, since);
    res->items++;
    if (memcmp(digest, g->digests[i], sizeof(digest)) != 0)
        tv_digest_range_report(g, i, page_of(c), digest, &line, &c->pages.source, res);
}

static uint64_t running(const struct tv_kernel *k, const struct tv_boot_number *n)
{
    return n->number + (n->moves ? k->delta : 0);
}

/* A word for which the kernel's code has nothing but numbers. */
static void check_constant(const struct ro_after_init_check *c, const struct tv_kernel *k,
                           const struct tv_boot_constant *constant, struct tv_result *res)
{
    uint64_t mask = constant->size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * constant->size) - 1, actual = 0,
             own;

    if (!read(c, constant->offset, &actual, constant->size)) {
        res->missing++;
        return;
    }
    res->items++;
    for (uint32_t i = constant->first; i < constant->end; i++)
        if (actual == (running(k, &c->g->values[i]) & mask))
            return;
    own = running(k, &c->g->values[constant->first]);
    report(c, constant->offset,
           (struct tv_finding_args){ .kind = TV_KIND_CONSTANT,
                                     .expected = &own,
                                     .expected_size = constant->size,
                                     .actual = &actual,
                                     .actual_size = constant->size,
                                     .note = "a value that the kernel's code never writes here" },
           res);
}

static void check_encoding(const struct ro_after_init_check *c, const struct tv_boot_encoding *e,
                           struct tv_result *res)
{
    uint8_t actual[TV_BOOT_CODE_MAX];

    if (!read(c, e->offset, actual, e->size)) {
        res->missing++;
        return;
    }
    res->items++;
    for (uint32_t i = e->first; i < e->end; i++)
        if (memcmp(actual, c->g->codes[i], e->size) == 0)
            return;
    report(c, e->offset,
           (struct tv_finding_args){ .kind = TV_KIND_VDSO,
                                     .expected = c->g->codes[e->first],
                                     .expected_size = e->size,
                                     .actual = actual,
                                     .actual_size = e->size,
                                     .note = "no encoding that the kernel puts into its vDSO" },
           res);
}

/* The number of a site in the golden table, which is sorted by key, site and bits; site_count: it is none. */
static uint32_t site_number(const struct tv_ro_after_init *g, uint32_t site, uint32_t key)
{
    uint32_t low = 0, high = g->site_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct tv_call_site *s = &g->sites[middle];
        uint32_t by_key = s->key & ~3u, wanted = key & ~3u;

        if (s->key == key && s->site == site)
            return middle;
        if (by_key < wanted || (by_key == wanted && (s->site < site || (s->site == site && s->key < key))))
            low = middle + 1;
        else
            high = middle;
    }
    return g->site_count;
}

/* Each site once, in the order of their keys: then they are the same ones. */
static void check_sites(struct ro_after_init_check *c, const struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_ro_after_init *g = c->g;
    uint32_t from_text = (uint32_t)(g->range.va + g->sites_at - k->profile->text_va), last = 0;

    memset(c->seen, 0, sizeof(c->seen));
    for (uint32_t i = 0; i < g->site_count; i++) {
        uint32_t entry[2], site, key, number; /* struct static_call_site: both count from themselves */
        const char *note = NULL;

        if (!read(c, g->sites_at + 8 * i, entry, sizeof(entry))) {
            res->missing++;
            continue;
        }
        site = from_text + 8 * i + entry[0];
        key = from_text + 8 * i + 4 + entry[1];
        number = site_number(g, site, key);
        res->items++;
        if (number == g->site_count)
            note = "no site of a static call in this kernel";
        else if (c->seen[number / 8] >> number % 8 & 1)
            note = "it stands there twice";
        else if (i && (key & ~3u) < last)
            note = "out of its order";
        if (note)
            report(c, g->sites_at + 8 * i,
                   (struct tv_finding_args){ .kind = TV_KIND_STATIC_CALL_SITE,
                                             .actual = entry,
                                             .actual_size = sizeof(entry),
                                             .note = note },
                   res);
        if (number < g->site_count)
            c->seen[number / 8] |= (uint8_t)(1u << number % 8);
        last = key & ~3u;
    }
}

/* __per_cpu_offset: a processor's area begins with a page; the rest is as it was compiled. */
static void check_array(const struct ro_after_init_check *c, const struct tv_kernel *k, uint32_t cpus,
                        struct tv_result *res)
{
    uint64_t own = running(k, &c->g->array_value), v;

    for (uint32_t i = 0; i < c->g->array_size / 8; i++) {
        uint32_t at = c->g->array_at + 8 * i;

        if (!read(c, at, &v, sizeof(v))) {
            res->missing++;
            continue;
        }
        res->items++;
        if (v != own && (i >= cpus || v % TV_PAGE_SIZE))
            report(c, at,
                   (struct tv_finding_args){ .kind = TV_KIND_PER_CPU,
                                             .expected = &own,
                                             .expected_size = sizeof(own),
                                             .actual = &v,
                                             .actual_size = sizeof(v),
                                             .note = "no area of a processor" },
                   res);
    }
}

/* Is every byte, and the number of processors, as it was when all was right?  All that is checked follows from those. */
static bool is_unchanged(struct ro_after_init_check *c, struct tv_kernel *k, uint32_t cpus)
{
    bool same = c->items && cpus == c->cpus;

    if (!tv_page_cache_has_copies(&c->pages.cache, k->page_cache))
        return false;
    tv_page_cache_update_part(&c->pages.cache, k, &c->pages.range.view, 0, c->g->range.npages);
    for (uint32_t i = 0; i < c->g->range.npages; i++)
        same = same && (c->pages.cache.flags[i] & TV_PAGE_VALID);
    return same;
}

static void check_all(struct ro_after_init_check *c, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_ro_after_init *g = c->g;

    for (uint32_t i = 0; i < g->range.npages; i++)
        check_page(c, k, i, res);
    for (uint32_t i = 0; i < g->constant_count; i++)
        check_constant(c, k, &g->constants[i], res);
    for (uint32_t i = 0; i < g->encoding_count; i++)
        check_encoding(c, &g->encodings[i], res);
    check_sites(c, k, res);
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct ro_after_init_check *c = context;
    const struct tv_ro_after_init *g = c->g;
    uint32_t cpus = 0; /* read once: what is checked by it is also remembered with it */
    bool counted;

    (void)budget;
    if (!g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_RO_AFTER_INIT));
        return TV_STEP_DONE;
    }
    counted = g->array_size && guest_read_va(k, g->nr_cpu_ids + k->delta, &cpus, sizeof(cpus));
    res->missing += g->array_size && !counted;
    tv_range_refresh(k, &c->pages.range);
    if (is_unchanged(c, k, cpus) && !res->missing) {
        res->items = c->items;
        tv_result_finalize(res, NULL);
        return TV_STEP_DONE;
    }
    check_all(c, k, res);
    if (counted)
        check_array(c, k, cpus, res);
    c->cpus = cpus;
    c->items = res->findings || res->missing ? 0 : res->items;
    for (uint32_t i = 0; c->items && i < g->range.npages; i++)
        c->pages.cache.flags[i] |= TV_PAGE_VALID;
    tv_result_finalize(res, "nothing of ro_after_init could be read");
    return TV_STEP_DONE;
}

const struct tv_check tv_check_ro_after_init = {
    .name = "ro-after-init",
    .id = TV_CHECK_RO_AFTER_INIT,
    .context_size = sizeof(struct ro_after_init_check),
    .init = init,
    .deinit = deinit,
    .step = step,
};
