/* SPDX-License-Identifier: MIT */
/*
 * rodata: every page of .rodata up to ro_after_init equals the package's file.
 * The KASLR relocation is taken back on a copy, then the copy is digested; or
 * the page is what it was when that was done (lib/page_cache.h).
 */
#include "rodata.h"

#include "lib/digest_batch.h"

/* Pages that are mapped, then checked, in one go: as in text.c. */
#define CHUNK_COMPARED 128
#define CHUNK_DIGESTED 8

struct rodata_check {
    const struct tv_digest_range *g;
    struct tv_verified_range pages;
    struct tv_digest_batch batch; /* empty between steps */
    bool last_scan_clean;         /* nothing was wrong at the last scan */

    /* Of the scan under way: which chunk is next, of so many of that size, in the order that the seed chooses. */
    uint32_t next, chunks, chunk_size, order;

    /* One page with what a relocation across its borders needs of its neighbours. */
    uint8_t page[TV_RELOC_BIAS + TV_PAGE_SIZE + 8];
};

static int init(void *context, struct tv_kernel *k)
{
    struct rodata_check *c = context;
    int err;

    c->g = tv_rodata_golden(k);
    if (!c->g)
        return 0;
    err = tv_verified_range_init(&c->pages, k, c->g->va, c->g->npages);
    if (err)
        tv_verified_range_deinit(&c->pages, k);
    return err;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct rodata_check *c = context;

    if (c->g)
        tv_verified_range_deinit(&c->pages, k);
}

/* Has the kernel cut this string, at all of its commas and nowhere else? */
static bool is_cut(const struct rodata_check *c, const struct tv_cut_string *cut)
{
    size_t n = strlen(cut->text);

    for (size_t j = 0; j < n; j++) {
        char at;

        if (!tv_page_source_read(&c->pages.source, cut->offset + j, &at, 1) ||
            at != (cut->text[j] == ',' ? 0 : cut->text[j]))
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
static void uncut(struct rodata_check *c, uint32_t i)
{
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;

    for (uint32_t s = 0; s < c->g->cut_count; s++) {
        const struct tv_cut_string *cut = &c->g->cuts[s];
        size_t n = strlen(cut->text);

        if (!is_in(cut, i) || !is_cut(c, cut))
            continue;
        for (size_t j = 0; j < n; j++) {
            uint64_t at = cut->offset + j - start; /* wraps below the page, and is then too large */

            if (cut->text[j] == ',' && at < TV_PAGE_SIZE)
                c->page[TV_RELOC_BIAS + at] = ',';
        }
    }
}

/* Copy page `i`, and of its neighbours what relocations across the borders need. */
static bool copy_page(struct rodata_check *c, uint32_t i)
{
    const struct tv_digest_range *g = c->g;
    uint32_t first = g->reloc_index[i], end = g->reloc_index[i + 1];
    uint64_t start = (uint64_t)i * TV_PAGE_SIZE;
    bool from_before = first < end && TV_RELOC_OFFSET(g->relocs[first]) < TV_RELOC_BIAS;
    bool into_next = first < end && TV_RELOC_OFFSET(g->relocs[end - 1]) > TV_PAGE_SIZE;

    if (from_before && !tv_page_source_read(&c->pages.source, start - TV_RELOC_BIAS, c->page, TV_RELOC_BIAS))
        return false;
    if (into_next && !tv_page_source_read(&c->pages.source, start + TV_PAGE_SIZE,
                                          c->page + TV_RELOC_BIAS + TV_PAGE_SIZE, 8))
        return false;
    return tv_page_source_read(&c->pages.source, start, c->page + TV_RELOC_BIAS, TV_PAGE_SIZE);
}

/* Is all that page `i` was verified by in the cache?  A neighbour that changes makes it uncertain then. */
static bool is_cached(const struct rodata_check *c, uint32_t i)
{
    return tv_page_cache_page(&c->pages.cache, i) && (i == 0 || tv_page_cache_page(&c->pages.cache, i - 1)) &&
           (i + 1 == c->g->npages || tv_page_cache_page(&c->pages.cache, i + 1));
}

/*
 * Page `i` where it is cached or shown, if that is how the package has it: nothing to take back, no copy to make.
 * What changes while it is digested makes a digest that no page has.
 */
static const uint8_t *as_it_is(const struct rodata_check *c, uint32_t i, uint64_t delta)
{
    const uint8_t *copy = tv_page_cache_page(&c->pages.cache, i);

    if (delta && c->g->reloc_index[i] != c->g->reloc_index[i + 1])
        return NULL;
    for (uint32_t s = 0; s < c->g->cut_count; s++)
        if (is_in(&c->g->cuts[s], i))
            return NULL;
    if (copy)
        return copy;
    return c->pages.range.view.err[i] ? NULL : c->pages.range.view.base + (size_t)i * TV_PAGE_SIZE;
}

/* A copy of page `i` with all taken back; NULL if it cannot be read. */
static const uint8_t *taken_back(struct rodata_check *c, struct tv_kernel *k, uint32_t i)
{
    uint64_t since = tv_cost_begin(k->costs);
    bool there = copy_page(c, i);

    tv_cost_end(k->costs, TV_PHASE_READING, since);
    if (!there)
        return NULL;
    tv_digest_range_unrelocate(c->g, i, c->page + TV_RELOC_BIAS, k->delta);
    uncut(c, i);
    return c->page + TV_RELOC_BIAS;
}

static void compare_digest(struct rodata_check *c, uint32_t i, const uint8_t *bytes, const uint8_t digest[32],
                           uint8_t flags, struct tv_result *res)
{
    struct tv_finding_args line = { .kind = TV_KIND_BYTES,
                                    .symbol = c->g->symbol,
                                    .offset = (uint64_t)i * TV_PAGE_SIZE,
                                    .address = c->pages.range.va + (uint64_t)i * TV_PAGE_SIZE,
                                    .note = "a line of a page whose digest differs" };

    if (memcmp(digest, c->g->digests[i], TV_DIGEST_SIZE) == 0)
        c->pages.cache.flags[i] |= flags;
    else
        tv_digest_range_report(c->g, i, bytes, digest, &line, &c->pages.source, res);
}

/* Check the pages that wait for their digests. */
static void finish_batch(struct rodata_check *c, struct tv_kernel *k, struct tv_result *res)
{
    struct tv_digest_batch *b = &c->batch;
    uint32_t count = tv_digest_batch_run(b, k);

    for (uint32_t n = 0; n < count; n++)
        compare_digest(c, b->number[n], b->page[n], b->digest[n], b->flags[n], res);
}

static void check_page(struct rodata_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    uint8_t digest[TV_DIGEST_SIZE], *flags = &c->pages.cache.flags[i], valid = TV_PAGE_VALID;
    uint32_t size = tv_digest_range_size(c->g, i);
    const uint8_t *plain, *bytes;

    if (tv_page_cache_page(&c->pages.cache, i) && (*flags & TV_PAGE_VALID)) {
        res->items++;
        return;
    }
    *flags &= (uint8_t)~TV_PAGE_VALID;
    plain = as_it_is(c, i, k->delta);
    bytes = plain ? plain : taken_back(c, k, i);
    if (!bytes) {
        res->missing++;
        return;
    }
    res->items++;
    if (!plain && c->pages.cache.block && !is_cached(c, i))
        valid = 0;
    if (size < TV_PAGE_SIZE) {
        tv_digest_bytes(k->digest, bytes, size, digest);
        compare_digest(c, i, bytes, digest, valid, res);
    } else if (tv_digest_batch_add(&c->batch, i, valid, bytes, plain)) {
        finish_batch(c, k, res);
    }
}

/* Map pages `first` to `end`, with the neighbours that relocations across borders may need, and check them. */
static void check_chunk(struct rodata_check *c, struct tv_kernel *k, uint32_t first, uint32_t end,
                        struct tv_result *res)
{
    uint32_t low = first ? first - 1 : 0, high = end < c->g->npages ? end + 1 : end;

    tv_range_refresh_part(k, &c->pages.range, low, high - low);
    if (c->pages.cache.block)
        tv_page_cache_update_part(&c->pages.cache, k, &c->pages.range.view, first, end);
    for (uint32_t i = first; i < end; i++)
        check_page(c, k, i, res);
    finish_batch(c, k, res);
}

static void begin(void *context, struct tv_kernel *k, struct tv_result *res)
{
    struct rodata_check *c = context;

    (void)res;
    if (!c->g)
        return;
    c->chunk_size =
        tv_page_cache_has_copies(&c->pages.cache, k->page_cache) ? CHUNK_COMPARED : CHUNK_DIGESTED;
    c->chunks = (c->g->npages + c->chunk_size - 1) / c->chunk_size;
    c->order = c->last_scan_clean ? tv_random_next(k->random) : 0; /* findings are reported in one order */
    c->next = 0;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct rodata_check *c = context;
    bool worked = false;

    if (!c->g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_RODATA));
        return TV_STEP_DONE;
    }
    for (; c->next < c->chunks; c->next++) {
        uint32_t first = tv_shuffled(c->order, c->next, c->chunks) * c->chunk_size;
        uint32_t end = first + c->chunk_size < c->g->npages ? first + c->chunk_size : c->g->npages;

        if ((worked || !budget->resumed) && tv_budget_is_spent(budget))
            return TV_STEP_MORE;
        check_chunk(c, k, first, end, res);
        worked = true; /* however small the budget is, each step gets on */
    }
    c->last_scan_clean = !res->findings && !res->missing;
    tv_result_finalize(res, "no page of .rodata could be read");
    return TV_STEP_DONE;
}

static void check_dirty(void *context, struct tv_kernel *k, const struct tv_dirty *dirty,
                        struct tv_result *res)
{
    struct rodata_check *c = context;

    if (!c->g || !tv_page_cache_refresh_due(&c->pages.cache, k, &c->pages.range, dirty))
        return;
    if (c->pages.cache.block)
        tv_page_cache_update_due(&c->pages.cache, k, &c->pages.range.view);
    for (uint32_t i = tv_page_cache_next_due(&c->pages.cache, 0); i < c->g->npages;
         i = tv_page_cache_next_due(&c->pages.cache, i + 1))
        check_page(c, k, i, res);
    finish_batch(c, k, res);
}

const struct tv_check tv_check_rodata = {
    .name = "rodata",
    .id = TV_CHECK_RODATA,
    .context_size = sizeof(struct rodata_check),
    .init = init,
    .deinit = deinit,
    .begin = begin,
    .step = step,
    .check_dirty = check_dirty,
};
