/* SPDX-License-Identifier: MIT */
/*
 * text: every byte of .text.  One pass over the pages and the table of patch
 * sites: each site is compared with the encoding that the kernel's state asks
 * for, then blanked; the rest of the page is brought back to link addresses and
 * digested.
 *
 * With copies (lib/page_cache.h) that is done once: a page that has not changed
 * is compared with its copy, and its sites are checked again only if the state
 * has changed.
 */
#include "../lib/digest_batch.h"
#include "internal.h"

/* Pages that are mapped, then checked, in one go: mapping is cheapest in large batches, and digests take long. */
#define CHUNK_COMPARED 128
#define CHUNK_DIGESTED 8

struct text_check {
    const struct tv_text *t; /* NULL: there are no golden values */
    struct tv_verified_range pages;
    struct tv_text_state state;
    struct tv_text_area area;
    struct tv_text_pass pass;
    struct tv_text_start *starts; /* [npages] */
    struct tv_digest_batch batch; /* empty between steps */
    uint32_t records_at;          /* the page up to which ftrace's records were passed */
    bool was_traced;
    bool recheck_all;     /* the sites of pages that have not changed are to be checked, too */
    bool recheck_pending; /* and at the next scan, for pages that were checked by an older state */
    bool last_scan_clean; /* nothing was wrong at the last scan */

    /* Of the scan under way: which chunk is next, of so many of that size, in the order that the seed chooses. */
    uint32_t next, chunks, chunk_size, order;
    bool unreadable; /* the state could not be read, so the pages are not */
};

static void deinit(void *context, struct tv_kernel *k)
{
    struct text_check *c = context;

    if (!c->t)
        return;
    if (c->starts)
        tv_free(c->starts);
    tv_verified_range_deinit(&c->pages, k);
    tv_text_area_deinit(&c->area, k);
    tv_text_state_deinit(&c->state);
}

static int init_parts(struct text_check *c, struct tv_kernel *k)
{
    const struct tv_text *t = c->t;
    uint32_t npages = t->range.npages;
    int err = tv_text_state_init(&c->state, k);

    if (!err)
        err = tv_text_area_init(&c->area, k, t->code.jump_key_count, t->code.call_key_count);
    c->area.c = &t->code;
    if (!err)
        err = tv_text_area_map_keys(&c->area, k);
    if (!err)
        err = tv_verified_range_init(&c->pages, k, t->range.va, npages);
    if (!err)
        c->starts = tv_alloc(npages * sizeof(*c->starts));
    return err ? err : c->starts ? 0 : -TV_ENOMEM;
}

static int init(void *context, struct tv_kernel *k)
{
    struct text_check *c = context;
    int err;

    c->t = tv_text_golden(k);
    if (!c->t)
        return 0;
    err = init_parts(c, k);
    if (err) {
        deinit(c, k);
        return err;
    }
    c->area.symbol = "_text";
    c->area.va = c->pages.range.va;
    c->pass.s = &c->state;
    c->pass.a = &c->area;
    c->pass.range = &c->pages.range;
    tv_text_find_starts(&c->pass, c->starts);
    return 0;
}

/* Check the pages that wait for their digests. */
static void finish_batch(struct text_check *c, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_digest_range *g = &c->t->range;
    uint32_t count = tv_digest_batch_run(&c->batch, k);

    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = c->batch.number[n];
        struct tv_finding_args line = {
            .kind = TV_KIND_TEXT_BYTES,
            .symbol = "_text",
            .offset = (uint64_t)i * TV_PAGE_SIZE,
            .address = c->pages.range.va + (uint64_t)i * TV_PAGE_SIZE,
            .note = "a line of code that differs from the package outside of the places that are patched",
        };

        if (memcmp(c->batch.digest[n], g->digests[i], TV_DIGEST_SIZE) == 0)
            c->pages.cache.flags[i] |= c->batch.flags[n];
        else
            tv_digest_range_report(g, i, c->batch.page[n], c->batch.digest[n], &line, &c->pages.source, res);
    }
}

/* Was page `i` verified, and has nothing changed that it depends on? */
static bool is_settled(const struct text_check *c, uint32_t i)
{
    return c->pass.cache && !c->recheck_all &&
           (c->pages.cache.flags[i] & (TV_PAGE_VALID | TV_PAGE_DEPENDS)) == TV_PAGE_VALID;
}

/* Page `i`, with all its sites; its digest, too, unless it was verified and has not changed. */
static void check_page(struct text_check *c, struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    uint32_t reported = res->findings + res->notices + res->missing;
    uint8_t *flags = &c->pages.cache.flags[i], valid = 0;
    uint8_t *page = c->pass.window + TV_TEXT_BEFORE;
    bool was_valid = c->pass.cache && (*flags & TV_PAGE_VALID);

    c->state.depends = c->state.removed = false;
    c->pass.arg = c->starts[i].arg;
    c->pass.jump = c->starts[i].jump;
    c->pass.carried = c->starts[i].carried;
    if (!tv_text_check_page(&c->pass, k, i, res))
        return;
    res->items++;
    if (!c->state.removed && res->findings + res->notices + res->missing == reported)
        valid = TV_PAGE_VALID | (c->state.depends ? TV_PAGE_DEPENDS : 0);
    *flags &= TV_PAGE_COPIED | TV_PAGE_DUE;
    if (was_valid) {
        *flags |= valid;
        return;
    }
    tv_digest_range_unrelocate(&c->t->range, i, page, c->state.delta);
    if (tv_digest_batch_add(&c->batch, i, valid, page, false))
        finish_batch(c, k, res);
}

static bool read_parts(struct text_check *c, struct tv_kernel *k)
{
    struct tv_text_state *s = &c->state;
    bool traced;

    if (!tv_text_state_read(s, k) || !tv_text_keys_read(s, &c->area, k) || !tv_text_constants_read(s, k)) {
        tv_page_cache_invalidate(&c->pages.cache);
        return false;
    }
    tv_text_ftrace_read(s, k);
    tv_text_probes_read(s, k);
    tv_text_dynamic_resolve(s, k);
    if (s->changed)
        tv_page_cache_invalidate(&c->pages.cache);
    traced = s->op_count || s->direct_count || s->probe_count || s->dynamic_count;
    c->recheck_all = c->area.changed || traced || c->was_traced;
    c->was_traced = traced;
    return true;
}

/*
 * Read all that the sites depend on; what is wrong with it goes into `faults`, or is not reported if that is NULL.
 * False, and counted as missing, if it cannot be read.
 */
static bool read_state(struct text_check *c, struct tv_kernel *k, struct tv_result *faults,
                       struct tv_result *res)
{
    uint64_t since = tv_cost_begin(k->costs);
    bool there;

    c->state.res = faults;
    there = read_parts(c, k);
    c->state.res = res;
    tv_cost_end(k->costs, TV_PHASE_SITES, since);
    res->missing += !there;
    return there;
}

/* Map pages `first` to `end` and their neighbours, and check them. */
static void check_chunk(struct text_check *c, struct tv_kernel *k, uint32_t first, uint32_t end,
                        struct tv_result *res)
{
    uint8_t *flags = c->pages.cache.flags;
    uint32_t low = first ? first - 1 : 0, high = end < c->pages.range.npages ? end + 1 : end;
    bool before = flags[low] & TV_PAGE_VALID, after = flags[high - 1] & TV_PAGE_VALID;

    tv_range_refresh_part(k, &c->pages.range, low, high - low);
    if (c->pass.cache) {
        tv_page_cache_update_part(&c->pages.cache, k, &c->pages.range.view, low, high);
        /* A neighbour that was valid, and is not after this, must not be passed over. */
        first = before && !(flags[low] & TV_PAGE_VALID) ? low : first;
        end = after && !(flags[high - 1] & TV_PAGE_VALID) ? high : end;
    }
    if (c->state.op_count && first != c->records_at)
        tv_text_records_begin(&c->state, k);
    for (uint32_t i = first; i < end; i++) {
        if (is_settled(c, i))
            res->items++;
        else
            check_page(c, k, i, res);
    }
    finish_batch(c, k, res);
    c->records_at = end;
}

/* The target has run since the last step: read the state as it is now.  What is wrong with it was reported at the begin. */
static bool read_state_again(struct text_check *c, struct tv_kernel *k, struct tv_result *res)
{
    bool before = c->recheck_all;

    if (!read_state(c, k, NULL, res))
        return false;
    c->recheck_pending = c->recheck_pending || c->recheck_all || c->state.changed;
    c->recheck_all = c->recheck_all || before;
    c->records_at = 0;
    if (c->state.op_count)
        tv_text_records_begin(&c->state, k);
    return true;
}

static void check_rights(const struct text_check *c, struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text *t = c->t;
    struct tv_text_mapped m = { .symbol = "_text", .base = c->state.text };

    m.va = c->state.text;
    m.size = (uint64_t)t->range.npages * TV_PAGE_SIZE;
    m.executable = true;
    tv_text_check_rights(k, &m, res);
    m.va = c->state.text + t->rodata;
    m.size = t->rodata_end - t->rodata;
    m.executable = false;
    tv_text_check_rights(k, &m, res);
}

static void begin(void *context, struct tv_kernel *k, struct tv_result *res)
{
    struct text_check *c = context;

    if (!c->t)
        return;
    c->pass.cache = tv_page_cache_has_copies(&c->pages.cache, k->page_cache) ? &c->pages.cache : NULL;
    c->chunk_size = c->pass.cache ? CHUNK_COMPARED : CHUNK_DIGESTED;
    c->chunks = (c->pages.range.npages + c->chunk_size - 1) / c->chunk_size;
    c->next = 0;
    c->state.poking = false;
    memset(c->state.caller_pages, 0, sizeof(c->state.caller_pages));
    c->unreadable = !read_state(c, k, res, res);
    if (c->unreadable)
        return;
    c->recheck_all = c->recheck_all || c->recheck_pending;
    c->recheck_pending = false;
    c->records_at = 0;
    tv_text_report_calls(&c->state, &c->area, k);
    tv_text_report_owners(&c->state, k);
    check_rights(c, k, res);
    /* In order if something may be wrong, so that it is reported in one order; ftrace's records have one, too. */
    c->order = c->last_scan_clean && !c->state.op_count ? tv_random_next(k->random) : 0;
}

/* The chunks that are left.  False: the budget is spent. */
static bool check_chunks(struct text_check *c, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    bool worked = false;

    c->state.res = res;
    if (budget->resumed && !c->unreadable)
        c->unreadable = !read_state_again(c, k, res);
    for (; c->next < c->chunks && !c->unreadable; c->next++) {
        uint32_t first = tv_shuffled(c->order, c->next, c->chunks) * c->chunk_size;
        uint32_t end =
            first + c->chunk_size < c->pages.range.npages ? first + c->chunk_size : c->pages.range.npages;

        if ((worked || !budget->resumed) && tv_budget_is_spent(budget))
            return false;
        check_chunk(c, k, first, end, res);
        worked = true; /* however small the budget is, each step gets on */
    }
    if (!c->unreadable)
        tv_text_check_trampolines(&c->state, k);
    return true;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct text_check *c = context;

    if (!c->t) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_TEXT));
        return TV_STEP_DONE;
    }
    if (!check_chunks(c, k, budget, res))
        return TV_STEP_MORE;
    c->last_scan_clean = !res->findings && !res->missing && !res->notices;
    tv_result_finalize(res, "no page of .text could be read");
    return c->state.poking ? TV_STEP_RETRY : TV_STEP_DONE;
}

/* Before the first page is checked: what its sites depend on.  False if it cannot be read. */
static bool read_state_once(struct text_check *c, struct tv_kernel *k, bool *ready, struct tv_result *res)
{
    if (*ready)
        return true;
    if (!read_state(c, k, res, res))
        return false;
    if (c->state.op_count)
        tv_text_records_begin(&c->state, k);
    *ready = true;
    return true;
}

/* Between the steps of a scan, too: after it the scan reads the state again, and checks with what both have found changed. */
static void check_dirty(void *context, struct tv_kernel *k, const struct tv_dirty *dirty,
                        struct tv_result *res)
{
    struct text_check *c = context;
    bool recheck_all, ready = false;

    if (!c->t || !tv_page_cache_refresh_due(&c->pages.cache, k, &c->pages.range, dirty))
        return;
    recheck_all = c->recheck_all;
    if (c->pass.cache)
        tv_page_cache_update_due(&c->pages.cache, k, &c->pages.range.view);
    for (uint32_t i = tv_page_cache_next_due(&c->pages.cache, 0), done = 0; i < c->pages.range.npages;
         i = tv_page_cache_next_due(&c->pages.cache, i + 1)) {
        uint32_t end = i + 2 < c->pages.range.npages ? i + 2 : c->pages.range.npages;

        /* With its neighbours, into which sites may reach, each once and in order. */
        for (uint32_t n = i > done ? i - 1 : done; n < end; n++) {
            if (c->pass.cache && (c->pages.cache.flags[n] & TV_PAGE_VALID))
                continue;
            if (!read_state_once(c, k, &ready, res))
                return;
            check_page(c, k, n, res);
        }
        done = end;
    }
    if (!ready)
        return;
    finish_batch(c, k, res);
    c->recheck_pending = c->recheck_pending || c->recheck_all || c->state.changed;
    c->recheck_all = c->recheck_all || recheck_all;
}

const struct tv_check tv_check_text = {
    .name = "text",
    .id = TV_CHECK_TEXT,
    .context_size = sizeof(struct text_check),
    .init = init,
    .deinit = deinit,
    .begin = begin,
    .step = step,
    .check_dirty = check_dirty,
};
