/* SPDX-License-Identifier: MIT */
/*
 * rodata: every page of .rodata up to ro_after_init equals the package's file.
 * The KASLR relocation is taken back on a copy, then the copy is digested; or
 * the page is what it was when that was done (kept.h).
 */
#include <tinyvmi/cost.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/record.h>

#include "lib/page_cache.h"
#include "rodata.h"
#include "lib/digest_batch.h"

/* Pages that are mapped, then judged, in one go: as in text.c. */
#define CHUNK_COMPARED 128
#define CHUNK_DIGESTED 8

static struct tv_range range;
static struct tv_kept kept;
static struct tv_pair pair;
static bool quiet; /* nothing was wrong at the last scan */

/* One page with what a relocation across its borders needs of its neighbours. */
static uint8_t page[TV_RELOC_BIAS + TV_PAGE_SIZE + 8];

static int attach(struct tv_kernel *k)
{
    const struct tv_digest_range *g = tv_rodata_golden(k);
    int err;

    if (!g)
        return 0;
    quiet = false;
    err = tv_kept_open(&kept, g->npages);
    if (!err)
        err = tv_range_open(k, &range, g->va, (uint64_t)g->npages * TV_PAGE_SIZE);
    if (err)
        tv_kept_close(&kept);
    return err;
}

static void detach(struct tv_kernel *k)
{
    if (!tv_rodata_golden(k))
        return;
    tv_range_close(k, &range);
    tv_kept_close(&kept);
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

/* Bring page `i` back to the bytes of the file. */
static void unrelocate(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    for (uint32_t r = g->reloc_index[i]; r < g->reloc_index[i + 1]; r++) {
        uint8_t *at = page + TV_RELOC_OFFSET(g->relocs[r]);

        switch (TV_RELOC_KIND(g->relocs[r])) {
        case TV_RELOC_64:
            add64(at, -delta);
            break;
        case TV_RELOC_32:
            add32(at, -(uint32_t)delta);
            break;
        case TV_RELOC_INV32:
            add32(at, (uint32_t)delta);
            break;
        }
    }
}

/* `n` bytes from `offset` on, no more than a page: as they are kept, so that what is judged is what is kept. */
static bool read_bytes(uint64_t offset, void *dst, size_t n)
{
    uint8_t *out = dst;

    while (n) {
        uint32_t i = (uint32_t)(offset / TV_PAGE_SIZE), at = (uint32_t)(offset % TV_PAGE_SIZE);
        const uint8_t *copy = tv_kept_page(&kept, i);
        size_t part = n < TV_PAGE_SIZE - at ? n : TV_PAGE_SIZE - at;

        if (copy)
            memcpy(out, copy + at, part);
        else if (!tv_range_read(&range, range.va + offset, out, part))
            return false;
        out += part;
        offset += part;
        n -= part;
    }
    return true;
}

/* Has the kernel cut this string, at all of its commas and nowhere else? */
static bool is_cut(const struct tv_cut_string *cut)
{
    size_t n = strlen(cut->text);

    for (size_t j = 0; j < n; j++) {
        char c;

        if (!read_bytes(cut->offset + j, &c, 1) || c != (cut->text[j] == ',' ? 0 : cut->text[j]))
            return false;
    }
    return true;
}

static bool is_in(const struct tv_cut_string *cut, uint32_t i)
{
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;

    return cut->offset < start + TV_PAGE_SIZE && cut->offset + strlen(cut->text) > start;
}

/* Bring the commas of strings that are wholly cut back into page `i`. */
static void uncut(const struct tv_digest_range *g, uint32_t i)
{
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;

    for (uint32_t s = 0; s < g->cut_count; s++) {
        const struct tv_cut_string *cut = &g->cuts[s];
        size_t n = strlen(cut->text);

        if (!is_in(cut, i) || !is_cut(cut))
            continue;
        for (size_t j = 0; j < n; j++) {
            uint64_t at = cut->offset + j - start; /* wraps below the page, and is then too large */

            if (cut->text[j] == ',' && at < TV_PAGE_SIZE)
                page[TV_RELOC_BIAS + at] = ',';
        }
    }
}

/* Copy page `i`, and of its neighbours what relocations across the borders need. */
static bool copy_page(const struct tv_digest_range *g, uint32_t i)
{
    uint32_t first = g->reloc_index[i], end = g->reloc_index[i + 1];
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;
    bool from_before = first < end && TV_RELOC_OFFSET(g->relocs[first]) < TV_RELOC_BIAS;
    bool into_next = first < end && TV_RELOC_OFFSET(g->relocs[end - 1]) > TV_PAGE_SIZE;

    if (from_before && !read_bytes(start - TV_RELOC_BIAS, page, TV_RELOC_BIAS))
        return false;
    if (into_next && !read_bytes(start + TV_PAGE_SIZE, page + TV_RELOC_BIAS + TV_PAGE_SIZE, 8))
        return false;
    return read_bytes(start, page + TV_RELOC_BIAS, TV_PAGE_SIZE);
}

/* How much of page `i` is compared. */
static uint32_t size_of(const struct tv_digest_range *g, uint32_t i)
{
    return i + 1 < g->npages ? TV_PAGE_SIZE : g->last_size;
}

/* The digest has condemned page `i`: say which lines of what was digested differ. */
static void locate(const struct tv_digest_range *g, uint32_t i, const uint8_t *bytes, const uint8_t digest[32],
                   struct tv_result *res)
{
    uint32_t size = size_of(g, i);
    uint64_t offset = (uint64_t)i * TV_PAGE_SIZE;
    bool located = false;

    for (uint32_t line = 0; line * TV_LINE_SIZE < size; line++) {
        uint32_t at = line * TV_LINE_SIZE;
        uint32_t n = size - at < TV_LINE_SIZE ? size - at : TV_LINE_SIZE;
        uint8_t actual[TV_LINE_SIZE];

        if ((uint16_t)tv_crc32(0, bytes + at, n) == g->lines[i][line])
            continue;
        located = true;
        if (read_bytes(offset + at, actual, n))
            tv_find(res, "bytes", g->symbol, offset + at, range.va + offset + at, NULL, 0, actual, n,
                    "a line of a page whose digest differs");
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        tv_find(res, "page-digest", g->symbol, offset, range.va + offset, g->digests[i], 32, digest, 32, NULL);
}

/* Is all that page `i` was judged by kept?  A neighbour that changes makes it uncertain then. */
static bool is_kept(const struct tv_digest_range *g, uint32_t i)
{
    return tv_kept_page(&kept, i) && (i == 0 || tv_kept_page(&kept, i - 1)) &&
           (i + 1 == g->npages || tv_kept_page(&kept, i + 1));
}

/*
 * Page `i` where it is kept or shown, if that is how the package has it: nothing to take back, no copy to make.
 * What changes while it is digested makes a digest that no page has.
 */
static const uint8_t *as_it_is(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    const uint8_t *copy = tv_kept_page(&kept, i);

    if (delta && g->reloc_index[i] != g->reloc_index[i + 1])
        return NULL;
    for (uint32_t s = 0; s < g->cut_count; s++)
        if (is_in(&g->cuts[s], i))
            return NULL;
    if (copy)
        return copy;
    return range.view.err[i] ? NULL : range.view.base + (size_t)i * TV_PAGE_SIZE;
}

/* A copy of page `i` with all taken back; NULL if it cannot be read. */
static const uint8_t *taken_back(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    uint64_t since = tv_cost_begin();
    bool there = copy_page(g, i);

    tv_cost_end(TV_READING, since);
    if (!there)
        return NULL;
    unrelocate(g, i, delta);
    uncut(g, i);
    return page + TV_RELOC_BIAS;
}

static void judge_digest(const struct tv_digest_range *g, uint32_t i, const uint8_t *bytes, const uint8_t digest[32],
                         uint8_t flags, struct tv_result *res)
{
    if (memcmp(digest, g->digests[i], TV_DIGEST_SIZE) == 0)
        kept.flags[i] |= flags;
    else
        locate(g, i, bytes, digest, res);
}

/* Judge the pages that wait. */
static void judge_pair(struct tv_kernel *k, const struct tv_digest_range *g, struct tv_result *res)
{
    uint32_t count = tv_pair_digest(&pair, k->digest);

    for (uint32_t n = 0; n < count; n++)
        judge_digest(g, pair.number[n], pair.page[n], pair.digest[n], pair.flags[n], res);
}

static void judge_page(struct tv_kernel *k, const struct tv_digest_range *g, uint32_t i, struct tv_result *res)
{
    uint8_t digest[TV_DIGEST_SIZE], *flags = &kept.flags[i], right = TV_KEPT_GOOD;
    const uint8_t *plain, *bytes;

    if (tv_kept_page(&kept, i) && (*flags & TV_KEPT_GOOD)) {
        res->units++;
        return;
    }
    *flags &= (uint8_t)~TV_KEPT_GOOD;
    plain = as_it_is(g, i, k->delta);
    bytes = plain ? plain : taken_back(g, i, k->delta);
    if (!bytes) {
        res->missing++;
        return;
    }
    res->units++;
    if (!plain && kept.block && !is_kept(g, i))
        right = 0;
    if (size_of(g, i) < TV_PAGE_SIZE) {
        tv_digest_bytes(k->digest, bytes, size_of(g, i), digest);
        judge_digest(g, i, bytes, digest, right, res);
    } else if (tv_pair_add(&pair, i, right, bytes, plain)) {
        judge_pair(k, g, res);
    }
}

/* Map pages `first` to `end`, with the neighbours that relocations across borders may need, and judge them. */
static void judge_chunk(struct tv_kernel *k, const struct tv_digest_range *g, uint32_t first, uint32_t end,
                        struct tv_result *res)
{
    uint32_t low = first ? first - 1 : 0, high = end < g->npages ? end + 1 : end;

    tv_range_refresh_part(k, &range, low, high - low);
    if (kept.block)
        tv_kept_look_part(&kept, &range.view, first, end);
    for (uint32_t i = first; i < end; i++)
        judge_page(k, g, i, res);
    judge_pair(k, g, res);
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_digest_range *g = tv_rodata_golden(k);
    uint32_t chunk, chunks, order;

    if (!g) {
        tv_settle(res, tv_golden_reason(k, TV_CHECK_RODATA));
        return;
    }
    chunk = tv_kept_ready(&kept) ? CHUNK_COMPARED : CHUNK_DIGESTED;
    chunks = (g->npages + chunk - 1) / chunk;
    order = quiet ? tv_random() : 0; /* what there is to tell is told in one order */
    for (uint32_t n = 0; n < chunks; n++) {
        uint32_t first = tv_shuffled(order, n, chunks) * chunk;

        if (tv_slice_over())
            tv_rest(k);
        judge_chunk(k, g, first, first + chunk < g->npages ? first + chunk : g->npages, res);
    }
    quiet = !res->findings && !res->missing;
    tv_settle(res, "no page of .rodata could be read");
}

static void look(struct tv_kernel *k, const struct tv_dirty *dirty, struct tv_result *res)
{
    const struct tv_digest_range *g = tv_rodata_golden(k);

    if (!g || !tv_kept_revisit(&kept, k, &range, dirty))
        return;
    if (kept.block)
        tv_kept_look_marked(&kept, &range.view);
    for (uint32_t i = tv_kept_next(&kept, 0); i < g->npages; i = tv_kept_next(&kept, i + 1))
        judge_page(k, g, i, res);
    judge_pair(k, g, res);
}

const struct tv_check tv_check_rodata = { .name = "rodata", .attach = attach, .run = run, .detach = detach, .look = look };
