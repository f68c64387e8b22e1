/* SPDX-License-Identifier: MIT */
/*
 * ro-after-init: what the kernel writes while it boots and then maps read-only.
 * One pass over its pages: places with values of their own are judged, then
 * blanked; the rest is brought back to link addresses and digested.  The sites
 * of static calls, which are sorted at boot, are compared as a set.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/cost.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/record.h>

#include "lib/code_owner.h"
#include "ro_after_init.h"
#include "text/golden.h"
#include "lib/page_cache.h"

#define SITES_MAX   (1u << 17) /* for which there is a bit to say that one was seen */
#define MODULES     UINT64_C(0xffffffffc0000000) /* MODULES_VADDR, asm/pgtable_64_types.h */
#define MODULES_END UINT64_C(0xffffffffff000000)

static struct tv_range range;
static struct tv_kept kept;
static uint32_t units, cpus_then; /* of the last run, if nothing was wrong then */
static uint8_t page[TV_PAGE_SIZE];
static uint8_t seen[SITES_MAX / 8];

static int attach(struct tv_kernel *k)
{
    const struct tv_ro_after_init *g = tv_ro_after_init_golden(k);
    int err;

    if (!g)
        return 0;
    if (g->site_count > SITES_MAX)
        return -TV_EINVAL;
    units = 0;
    err = tv_kept_open(&kept, g->range.npages);
    if (!err)
        err = tv_range_open(k, &range, g->range.va, (uint64_t)g->range.npages * TV_PAGE_SIZE);
    if (err)
        tv_kept_close(&kept);
    return err;
}

static void detach(struct tv_kernel *k)
{
    if (!tv_ro_after_init_golden(k))
        return;
    tv_range_close(k, &range);
    tv_kept_close(&kept);
}

/* `n` bytes at `offset` of the range, of what is kept if there are copies: then just that is judged. */
static bool read(uint32_t offset, void *dst, uint32_t n)
{
    uint8_t *out = dst;

    if (!kept.block)
        return tv_range_read(&range, range.va + offset, dst, n);
    while (n) {
        uint32_t at = offset % TV_PAGE_SIZE, part = n < TV_PAGE_SIZE - at ? n : TV_PAGE_SIZE - at;
        const uint8_t *copy = tv_kept_page(&kept, offset / TV_PAGE_SIZE);

        if (!copy)
            return false;
        memcpy(out, copy + at, part);
        out += part;
        offset += part;
        n -= part;
    }
    return true;
}

static void found(const struct tv_ro_after_init *g, const char *kind, uint32_t offset, const void *expected,
                  size_t expected_size, const void *actual, size_t actual_size, const char *note, struct tv_result *res)
{
    tv_find(res, kind, g->range.symbol, offset - g->first, range.va + offset, expected, expected_size, actual,
            actual_size, note);
}

/* Words that depend on the machine: only where they lead is judged. */
static void judge_values(struct tv_kernel *k, const struct tv_ro_after_init *g, uint32_t offset, uint32_t size,
                         struct tv_result *res)
{
    uint64_t text = k->profile->text_va + k->delta, text_end = text;

    if (tv_text_golden(k))
        text_end += (uint64_t)tv_text_golden(k)->range.npages * TV_PAGE_SIZE;
    for (uint32_t at = (offset + 7) & ~7u; at + 8 <= offset + size; at += 8) {
        uint64_t v;

        memcpy(&v, page + at % TV_PAGE_SIZE, sizeof(v));
        if (v >= text && v < text_end && tv_code_entry(k, v) != TV_CODE_KERNEL)
            found(g, "boot-value", at, NULL, 0, &v, sizeof(v), "it leads into the kernel's code, but to no function", res);
        else if (v > MODULES && v < MODULES_END && v % TV_PAGE_SIZE) /* bounds of areas are known (execmem_info) */
            found(g, "boot-value", at, NULL, 0, &v, sizeof(v), "it leads to a module, and is older than any module", res);
    }
}

/* What is not to be digested in page `i`: judge boot values, then blank it. */
static void take_out(struct tv_kernel *k, const struct tv_ro_after_init *g, uint32_t i, struct tv_result *res)
{
    for (uint32_t n = g->run_index[i]; n < g->run_index[i + 1]; n++) {
        uint32_t at = g->runs[n].at, size = g->runs[n].kind_size & 0x1fff;

        if (g->runs[n].kind_size >> 13 == TV_BOOT_VALUE)
            judge_values(k, g, i * TV_PAGE_SIZE + at, size, res);
        memset(page + at, 0, size);
    }
}

static void unrelocate(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    for (uint32_t r = g->reloc_index[i]; r < g->reloc_index[i + 1]; r++) {
        uint8_t *at = page + TV_RELOC_OFFSET(g->relocs[r]) - TV_RELOC_BIAS; /* 64 bits, within the page */
        uint64_t v;

        memcpy(&v, at, sizeof(v));
        v -= delta;
        memcpy(at, &v, sizeof(v));
    }
}

/* The digest has condemned page `i`: say which lines of it differ. */
static void locate(const struct tv_ro_after_init *g, uint32_t i, uint32_t size, const uint8_t digest[32],
                   struct tv_result *res)
{
    bool located = false;

    for (uint32_t line = 0; line * TV_LINE_SIZE < size; line++) {
        uint32_t at = line * TV_LINE_SIZE, n = size - at < TV_LINE_SIZE ? size - at : TV_LINE_SIZE;
        uint8_t actual[TV_LINE_SIZE];

        if ((uint16_t)tv_crc32(0, page + at, n) == g->range.lines[i][line])
            continue;
        located = true;
        if (read(i * TV_PAGE_SIZE + at, actual, n))
            found(g, "bytes", i * TV_PAGE_SIZE + at, NULL, 0, actual, n, "a line of a page whose digest differs", res);
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        found(g, "page-digest", i * TV_PAGE_SIZE, g->range.digests[i], 32, digest, 32, NULL, res);
}

static void judge_page(struct tv_kernel *k, const struct tv_ro_after_init *g, uint32_t i, struct tv_result *res)
{
    uint32_t size = i + 1 < g->range.npages ? TV_PAGE_SIZE : g->range.last_size;
    uint8_t digest[TV_DIGEST_SIZE];
    uint64_t since;

    if (!read(i * TV_PAGE_SIZE, page, TV_PAGE_SIZE)) {
        res->missing++;
        return;
    }
    take_out(k, g, i, res);
    unrelocate(&g->range, i, k->delta);
    since = tv_cost_begin();
    tv_digest_bytes(k->digest, page, size, digest);
    tv_cost_end(TV_HASHING, since);
    res->units++;
    if (memcmp(digest, g->range.digests[i], sizeof(digest)) != 0)
        locate(g, i, size, digest, res);
}

/* A word for which the kernel's code has nothing but numbers. */
static void judge_constant(struct tv_kernel *k, const struct tv_ro_after_init *g, const struct tv_boot_constant *c,
                           struct tv_result *res)
{
    uint64_t mask = c->size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * c->size) - 1, actual = 0, own;

    if (!read(c->offset, &actual, c->size)) {
        res->missing++;
        return;
    }
    res->units++;
    for (uint32_t i = c->first; i < c->end; i++)
        if (actual == ((g->values[i].number + (g->values[i].moves ? k->delta : 0)) & mask))
            return;
    own = g->values[c->first].number + (g->values[c->first].moves ? k->delta : 0);
    found(g, "constant", c->offset, &own, c->size, &actual, c->size, "a value that the kernel's code never writes here",
          res);
}

static void judge_encoding(const struct tv_ro_after_init *g, const struct tv_boot_encoding *e, struct tv_result *res)
{
    uint8_t actual[TV_BOOT_CODE_MAX];

    if (!read(e->offset, actual, e->size)) {
        res->missing++;
        return;
    }
    res->units++;
    for (uint32_t i = e->first; i < e->end; i++)
        if (memcmp(actual, g->codes[i], e->size) == 0)
            return;
    found(g, "vdso", e->offset, g->codes[e->first], e->size, actual, e->size,
          "no encoding that the kernel puts into its vDSO", res);
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
static void judge_sites(struct tv_kernel *k, const struct tv_ro_after_init *g, struct tv_result *res)
{
    uint32_t from_text = (uint32_t)(g->range.va + g->sites_at - k->profile->text_va), last = 0;

    memset(seen, 0, sizeof(seen));
    for (uint32_t i = 0; i < g->site_count; i++) {
        uint32_t entry[2], site, key, number; /* struct static_call_site: both count from themselves */

        if (!read(g->sites_at + 8 * i, entry, sizeof(entry))) {
            res->missing++;
            continue;
        }
        site = from_text + 8 * i + entry[0];
        key = from_text + 8 * i + 4 + entry[1];
        number = site_number(g, site, key);
        res->units++;
        if (number == g->site_count)
            found(g, "static-call-site", g->sites_at + 8 * i, NULL, 0, entry, sizeof(entry),
                  "no site of a static call in this kernel", res);
        else if (seen[number / 8] >> number % 8 & 1)
            found(g, "static-call-site", g->sites_at + 8 * i, NULL, 0, entry, sizeof(entry), "it stands there twice", res);
        else if (i && (key & ~3u) < last)
            found(g, "static-call-site", g->sites_at + 8 * i, NULL, 0, entry, sizeof(entry), "out of its order", res);
        if (number < g->site_count)
            seen[number / 8] |= (uint8_t)(1u << number % 8);
        last = key & ~3u;
    }
}

/* __per_cpu_offset: a processor's area begins with a page; the rest is as it was compiled. */
static void judge_array(struct tv_kernel *k, const struct tv_ro_after_init *g, uint32_t cpus, struct tv_result *res)
{
    uint64_t own = g->array_value.number + (g->array_value.moves ? k->delta : 0), v;

    for (uint32_t i = 0; i < g->array_size / 8; i++) {
        uint32_t at = g->array_at + 8 * i;

        if (!read(at, &v, sizeof(v))) {
            res->missing++;
            continue;
        }
        res->units++;
        if (v != own && (i >= cpus || v % TV_PAGE_SIZE))
            found(g, "per-cpu", at, &own, sizeof(own), &v, sizeof(v), "no area of a processor", res);
    }
}

/* Is every byte, and the number of processors, as it was when all was right?  All that is judged follows from those. */
static bool unchanged(const struct tv_ro_after_init *g, uint32_t cpus)
{
    bool same = units && cpus == cpus_then;

    if (!tv_kept_ready(&kept))
        return false;
    tv_kept_look_part(&kept, &range.view, 0, g->range.npages);
    for (uint32_t i = 0; i < g->range.npages; i++)
        same = same && (kept.flags[i] & TV_KEPT_GOOD);
    return same;
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_ro_after_init *g = tv_ro_after_init_golden(k);
    uint32_t cpus = 0; /* read once: what is judged by it is also remembered with it */
    bool counted;

    if (!g) {
        tv_settle(res, tv_golden_reason(k, TV_CHECK_RO_AFTER_INIT));
        return;
    }
    counted = g->array_size && tv_read_va(k, g->nr_cpu_ids + k->delta, &cpus, sizeof(cpus));
    res->missing += g->array_size && !counted;
    tv_range_refresh(k, &range);
    if (unchanged(g, cpus) && !res->missing) {
        res->units = units;
        tv_settle(res, NULL);
        return;
    }
    for (uint32_t i = 0; i < g->range.npages; i++)
        judge_page(k, g, i, res);
    for (uint32_t i = 0; i < g->constant_count; i++)
        judge_constant(k, g, &g->constants[i], res);
    for (uint32_t i = 0; i < g->encoding_count; i++)
        judge_encoding(g, &g->encodings[i], res);
    judge_sites(k, g, res);
    if (counted)
        judge_array(k, g, cpus, res);
    cpus_then = cpus;
    units = res->findings || res->missing ? 0 : res->units;
    for (uint32_t i = 0; units && i < g->range.npages; i++)
        kept.flags[i] |= TV_KEPT_GOOD;
    tv_settle(res, "nothing of ro_after_init could be read");
}

const struct tv_check tv_check_ro_after_init = {
    .name = "ro-after-init", .attach = attach, .run = run, .detach = detach
};
