/* SPDX-License-Identifier: MIT */
/*
 * text: every byte of .text.  One pass over the pages and the table of places
 * that the kernel patches: each place is compared with the encoding that the
 * kernel's state asks for, then blanked; the rest of the page is brought back
 * to link addresses and digested.
 *
 * With copies (kept.h) that is done once: a page that has not changed is
 * compared with its copy, and its places are judged again only if the state
 * has changed.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/cost.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "../lib/digest_batch.h"
#include "internal.h"

/* A text poke ends within microseconds; a row of them, as of a tracer that is switched on, may take longer. */
#define POKES   3
#define POKE_NS UINT64_C(5000000)

/* Pages that are mapped, then judged, in one go: mapping is cheapest in large batches, and digests take long. */
#define CHUNK_COMPARED 128
#define CHUNK_DIGESTED 8

static struct tv_range range;
static struct tv_text_state state;
static struct tv_text_area area;
static struct tv_text_pass pass;
static struct tv_text_start *starts; /* [npages] */
static struct tv_kept kept;
static struct tv_pair pair;
static uint32_t records_at; /* the page up to which ftrace's records were passed */
static bool was_traced;
static bool places_again; /* the places of pages that have not changed are to be judged, too */
static bool owed; /* and at the next scan, for those that were judged by an older state */
static bool quiet; /* nothing was wrong at the last scan */
static uint8_t *const page = pass.window + TV_TEXT_BEFORE;

static void detach(struct tv_kernel *k)
{
    if (!tv_text_golden(k))
        return;
    if (starts)
        tv_free(starts);
    starts = NULL;
    tv_range_close(k, &range);
    tv_kept_close(&kept);
    tv_text_area_close(&area, k);
    tv_text_state_close(&state);
}

static int attach(struct tv_kernel *k)
{
    const struct tv_text *t = tv_text_golden(k);
    uint32_t npages;
    int err;

    if (!t)
        return 0;
    npages = t->range.npages;
    err = tv_text_state_open(&state, k);
    if (!err)
        err = tv_text_area_open(&area, k, t->code.jump_key_count, t->code.call_key_count);
    area.c = &t->code;
    if (!err)
        err = tv_text_area_map_keys(&area, k);
    if (!err)
        err = tv_range_open(k, &range, t->range.va, (uint64_t)npages * TV_PAGE_SIZE);
    if (!err)
        err = tv_kept_open(&kept, npages);
    starts = tv_alloc(npages * sizeof(*starts));
    if (!err && !starts)
        err = -TV_ENOMEM;
    if (err) {
        detach(k);
        return err;
    }
    area.symbol = "_text";
    area.va = range.va;
    pass.s = &state;
    pass.a = &area;
    pass.range = &range;
    pass.kept = NULL;
    tv_text_starts(&pass, starts);
    was_traced = owed = quiet = false;
    return 0;
}

/* Bring page `i` back to the bytes of the file. */
static void unrelocate(const struct tv_digest_range *g, uint32_t i, uint64_t delta)
{
    for (uint32_t r = g->reloc_index[i]; r < g->reloc_index[i + 1]; r++) {
        uint8_t *at = page - TV_RELOC_BIAS + TV_RELOC_OFFSET(g->relocs[r]);
        uint64_t v = 0;
        size_t size = TV_RELOC_KIND(g->relocs[r]) == TV_RELOC_64 ? 8 : 4;

        memcpy(&v, at, size);
        v += TV_RELOC_KIND(g->relocs[r]) == TV_RELOC_INV32 ? delta : -delta;
        memcpy(at, &v, size);
    }
}

/* The bytes that were judged. */
static bool read_judged(uint32_t i, uint32_t at, void *dst, size_t n)
{
    const uint8_t *copy = tv_kept_page(&kept, i);

    if (!copy)
        return tv_range_read(&range, range.va + (uint64_t)i * TV_PAGE_SIZE + at, dst, n);
    memcpy(dst, copy + at, n);
    return true;
}

/* The digest has condemned page `i`: say which lines of what was digested differ. */
static void locate(const struct tv_digest_range *g, uint32_t i, const uint8_t *bytes, const uint8_t digest[32],
                   struct tv_result *res)
{
    uint64_t offset = (uint64_t)i * TV_PAGE_SIZE;
    bool located = false;

    for (uint32_t line = 0; line < TV_LINES_PER_PAGE; line++) {
        uint32_t at = line * TV_LINE_SIZE;
        uint8_t actual[TV_LINE_SIZE];

        if ((uint16_t)tv_crc32(0, bytes + at, TV_LINE_SIZE) == g->lines[i][line])
            continue;
        located = true;
        if (read_judged(i, at, actual, TV_LINE_SIZE))
            tv_find(res, "text-bytes", "_text", offset + at, range.va + offset + at, NULL, 0, actual, TV_LINE_SIZE,
                    "a line of code that differs from the package outside of the places that are patched");
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        tv_find(res, "page-digest", "_text", offset, range.va + offset, g->digests[i], 32, digest, 32, NULL);
}

/* Judge the pages that wait. */
static void judge_pair(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_digest_range *g = &state.t->range;
    uint32_t count = tv_pair_digest(&pair, k->digest);

    for (uint32_t n = 0; n < count; n++) {
        uint32_t i = pair.number[n];

        if (memcmp(pair.digest[n], g->digests[i], TV_DIGEST_SIZE) == 0)
            kept.flags[i] |= pair.flags[n];
        else
            locate(g, i, pair.page[n], pair.digest[n], res);
    }
}

/* Was page `i` right, and has nothing changed that it depends on? */
static bool is_settled(uint32_t i)
{
    return pass.kept && !places_again && (kept.flags[i] & (TV_KEPT_GOOD | TV_KEPT_ASKS)) == TV_KEPT_GOOD;
}

/* Page `i`, with all its places; its digest, too, unless it was right and has not changed. */
static void judge_page(struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    uint32_t told = res->findings + res->notices + res->missing;
    uint8_t *flags = &kept.flags[i], right = 0;
    bool good = pass.kept && (*flags & TV_KEPT_GOOD);

    res->units++;
    state.asked = state.lifted = false;
    pass.arg = starts[i].arg;
    pass.jump = starts[i].jump;
    pass.carried = starts[i].carried;
    if (!tv_text_page(&pass, k, i, res)) {
        res->units--;
        return;
    }
    if (!state.lifted && res->findings + res->notices + res->missing == told)
        right = TV_KEPT_GOOD | (state.asked ? TV_KEPT_ASKS : 0);
    *flags &= TV_KEPT_HAVE | TV_KEPT_LOOK;
    if (good) {
        *flags |= right;
        return;
    }
    unrelocate(&state.t->range, i, state.delta);
    if (tv_pair_add(&pair, i, right, page, false))
        judge_pair(k, res);
}

static bool read_parts(struct tv_kernel *k, struct tv_result *res)
{
    bool traced;

    if (!tv_text_state_read(&state, k, res) || !tv_text_keys_read(&state, &area, k) ||
        !tv_text_constants_read(&state, k, res)) {
        res->missing++;
        tv_kept_doubt(&kept);
        return false;
    }
    tv_text_ftrace_read(&state, k);
    tv_text_probes_read(&state, k);
    tv_text_answer(&state, k);
    if (state.renewed)
        tv_kept_doubt(&kept);
    traced = state.op_count || state.direct_count || state.probe_count || state.generated_count;
    places_again = area.changed || traced || was_traced;
    was_traced = traced;
    return true;
}

/* Read all that the places depend on.  False: it could not be read (counted as missing). */
static bool read_state(struct tv_kernel *k, struct tv_result *res)
{
    uint64_t since = tv_cost_begin();
    bool there = read_parts(k, res);

    tv_cost_end(TV_SITES, since);
    return there;
}

/* Map pages `first` to `end` and their neighbours, and judge them. */
static void judge_chunk(struct tv_kernel *k, uint32_t first, uint32_t end, struct tv_result *res)
{
    uint32_t low = first ? first - 1 : 0, high = end < range.npages ? end + 1 : end;
    bool before = kept.flags[low] & TV_KEPT_GOOD, after = kept.flags[high - 1] & TV_KEPT_GOOD;

    tv_range_refresh_part(k, &range, low, high - low);
    if (pass.kept) {
        tv_kept_look_part(&kept, &range.view, low, high);
        /* A neighbour that was right, and is not after this look, must not be passed over. */
        first = before && !(kept.flags[low] & TV_KEPT_GOOD) ? low : first;
        end = after && !(kept.flags[high - 1] & TV_KEPT_GOOD) ? high : end;
    }
    if (state.op_count && first != records_at)
        tv_text_records_begin(&state, k);
    for (uint32_t i = first; i < end; i++) {
        if (is_settled(i))
            res->units++;
        else
            judge_page(k, i, res);
    }
    judge_pair(k, res);
    records_at = end;
}

/* After a rest: the state as it is now.  What is wrong with the state itself was told at the scan's begin. */
static bool read_state_again(struct tv_kernel *k, struct tv_result *res)
{
    static struct tv_result told;
    bool before = places_again;

    memset(&told, 0, sizeof(told));
    tv_pt_cache_flush(k);
    if (!read_state(k, &told)) {
        res->missing++;
        return false;
    }
    state.res = res;
    owed = owed || places_again || state.renewed;
    places_again = places_again || before;
    records_at = 0;
    if (state.op_count)
        tv_text_records_begin(&state, k);
    return true;
}

static void scan(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text *t = tv_text_golden(k);
    uint32_t chunk, chunks, order;

    pass.kept = tv_kept_ready(&kept) ? &kept : NULL;
    chunk = pass.kept ? CHUNK_COMPARED : CHUNK_DIGESTED;
    chunks = (range.npages + chunk - 1) / chunk;
    state.poking = false;
    memset(state.caller_pages, 0, sizeof(state.caller_pages));
    if (!read_state(k, res))
        return;
    places_again = places_again || owed;
    owed = false;
    records_at = 0;
    tv_text_tell_calls(&state, &area, k);
    tv_text_tell_owners(&state, k);
    tv_text_rights(k, "_text", state.text, state.text, (uint64_t)t->range.npages * TV_PAGE_SIZE, true, res);
    tv_text_rights(k, "_text", state.text, state.text + t->rodata, t->rodata_end - t->rodata, false, res);
    /* In order if there is something to tell, so that it is told in one order; ftrace's records have one, too. */
    order = quiet && !state.op_count ? tv_random() : 0;
    for (uint32_t n = 0; n < chunks; n++) {
        uint32_t first = tv_shuffled(order, n, chunks) * chunk;

        if (tv_slice_over()) {
            tv_rest(k);
            if (!read_state_again(k, res))
                return;
        }
        judge_chunk(k, first, first + chunk < range.npages ? first + chunk : range.npages, res);
    }
    tv_text_trampolines(&state, k);
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    if (!tv_text_golden(k)) {
        tv_settle(res, tv_golden_reason(k, TV_CHECK_TEXT));
        return;
    }
    scan(k, res);
    for (uint32_t again = 0; state.poking && again < POKES; again++) {
        tv_sleep_ns(POKE_NS);
        tv_pt_cache_flush(k);
        memset(res, 0, sizeof(*res));
        scan(k, res);
    }
    quiet = !res->findings && !res->missing && !res->notices;
    tv_settle(res, "no page of .text could be read");
}

/* Before the first page is judged in a look: what its places depend on.  False if it cannot be read. */
static bool read_state_once(struct tv_kernel *k, bool *ready, struct tv_result *res)
{
    if (*ready)
        return true;
    if (!read_state(k, res))
        return false;
    if (state.op_count)
        tv_text_records_begin(&state, k);
    *ready = true;
    return true;
}

static void look(struct tv_kernel *k, const struct tv_dirty *dirty, struct tv_result *res)
{
    bool ready = false;

    if (!tv_text_golden(k) || !tv_kept_revisit(&kept, k, &range, dirty))
        return;
    if (pass.kept)
        tv_kept_look_marked(&kept, &range.view);
    for (uint32_t i = tv_kept_next(&kept, 0), done = 0; i < range.npages; i = tv_kept_next(&kept, i + 1)) {
        uint32_t end = i + 2 < range.npages ? i + 2 : range.npages;

        /* With its neighbours, into which places may reach, each once and in order. */
        for (uint32_t n = i > done ? i - 1 : done; n < end; n++) {
            if (pass.kept && (kept.flags[n] & TV_KEPT_GOOD))
                continue;
            if (!read_state_once(k, &ready, res))
                return;
            judge_page(k, n, res);
        }
        done = end;
    }
    if (ready)
        judge_pair(k, res);
    owed = owed || (ready && (places_again || state.renewed));
}

const struct tv_check tv_check_text = { .name = "text", .attach = attach, .run = run, .detach = detach, .look = look };
