/* SPDX-License-Identifier: MIT */
/*
 * text: every byte of .text.  One pass over the pages and the table of places
 * that the kernel patches: each place is compared with the encoding that the
 * kernel's state asks for, then blanked; the rest of the page is brought back
 * to link addresses and digested.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>
#include <tinyvmi/sha256.h>

#include "text_internal.h"

/* A text poke ends within microseconds; a row of them, as of a tracer that is switched on, may take longer. */
#define POKES   3
#define POKE_NS UINT64_C(5000000)

static struct tv_range range;
static struct tv_text_state state;

/* The page being judged, with what it needs of its neighbours. */
static uint8_t window[TV_TEXT_BEFORE + TV_PAGE_SIZE + TV_TEXT_AFTER];
static uint8_t *const page = window + TV_TEXT_BEFORE;

/* Where the pass is in the tables that are consumed in order. */
struct cursor {
    uint32_t arg, jump;
    uint32_t carried; /* bytes at the page's begin that belong to a place of the page before */
};

static int attach(struct tv_kernel *k)
{
    const struct tv_text *t = k->profile->text;
    int err;

    if (!t)
        return 0;
    err = tv_text_state_open(&state, k);
    if (err)
        return err;
    err = tv_range_open(k, &range, t->range.va, (uint64_t)t->range.npages * TV_PAGE_SIZE);
    if (err)
        tv_text_state_close(&state);
    return err;
}

static void detach(struct tv_kernel *k)
{
    if (!k->profile->text)
        return;
    tv_range_close(k, &range);
    tv_text_state_close(&state);
}

static bool copy_page(const struct tv_text *t, uint32_t i)
{
    uint64_t va = range.va + (uint64_t)i * TV_PAGE_SIZE;

    /* A neighbour that is missing counts itself; what reaches into it cannot be judged here either. */
    if (i == 0 || !tv_range_read(&range, va - TV_TEXT_BEFORE, window, TV_TEXT_BEFORE))
        memset(window, 0, TV_TEXT_BEFORE);
    if (i + 1 == t->range.npages ||
        !tv_range_read(&range, va + TV_PAGE_SIZE, page + TV_PAGE_SIZE, TV_TEXT_AFTER))
        memset(page + TV_PAGE_SIZE, 0, TV_TEXT_AFTER);
    return tv_range_read(&range, va, page, TV_PAGE_SIZE);
}

/* Take the call-depth accounting out of the copy: calls lead to the functions again, and padding is padding. */
static void uncount(const struct tv_text *t, uint32_t i)
{
    static const uint8_t nops[TV_TEXT_BEFORE] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                                  0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90 };

    for (uint32_t n = t->call_index[i]; n < t->call_index[i + 1]; n++) {
        uint32_t at = t->calls[n] & 0x3fff, kind = t->calls[n] >> 14;
        uint8_t want[TV_TEXT_BEFORE];

        if (kind == 0) {
            uint32_t v;

            memcpy(&v, window + at + 1, sizeof(v));
            v += t->call_pad.size;
            memcpy(window + at + 1, &v, sizeof(v));
            continue;
        }
        tv_text_fill(&state, &t->call_pad, i * TV_PAGE_SIZE + at - TV_TEXT_BEFORE, want);
        if (memcmp(window + at, want, t->call_pad.size) == 0)
            memcpy(window + at, nops, t->call_pad.size);
        else if (kind == 1)
            memset(window + at, 0, t->call_pad.size); /* it must be there: let the digest tell */
    }
}

static bool has_argument(enum tv_text_kind kind)
{
    switch (kind) {
    case TV_TEXT_RETURN:
    case TV_TEXT_LOCK:
    case TV_TEXT_ENDBR:
    case TV_TEXT_FTRACE:
    case TV_TEXT_JUMP_LABEL:
        return false;
    default:
        return true;
    }
}

/* A text poke in flight has 0xcc for the first byte until the others are there (text_poke_bp). */
static const char *note_of(struct tv_kernel *k, const struct tv_text_site *site, const uint8_t *expected)
{
    if (site->actual[0] != 0xcc || expected[0] == 0xcc)
        return tv_text_kind_note(site->kind);
    if (!tv_text_poked(&state, k, range.va + site->offset))
        return "a breakpoint that neither a kprobe nor the kernel's own patching explains";
    state.poking = true;
    return "the kernel says that it is patching this place, and did not end: a dump taken just then, or a cover";
}

static void judge(struct tv_kernel *k, const struct tv_text_site *site, struct tv_result *res)
{
    uint8_t expected[TV_TEXT_AFTER];

    memset(expected, 0, sizeof(expected));
    tv_text_expect(&state, k, site, expected);
    if (memcmp(expected, site->actual, site->size) != 0)
        tv_find(res, tv_text_kind_name(site->kind), "_text", site->offset, range.va + site->offset, expected,
                site->size, site->actual, site->size, note_of(k, site, expected));
}

/* All places of page `i`.  An unreadable page is passed over, so that the tables stay in step. */
static void judge_places(struct tv_kernel *k, uint32_t i, bool readable, struct cursor *c, struct tv_result *res)
{
    const struct tv_text *t = state.t;
    uint32_t carried = c->carried;

    c->carried = 0;
    if (readable)
        memset(page, 0, carried);
    for (uint32_t n = t->site_index[i]; n < t->site_index[i + 1]; n++) {
        uint32_t at = t->sites[n] & (TV_PAGE_SIZE - 1);
        struct tv_text_site site = { .kind = (enum tv_text_kind)(t->sites[n] >> 12),
                                     .offset = i * TV_PAGE_SIZE + at,
                                     .actual = page + at };

        if (has_argument(site.kind))
            site.argument = t->args[c->arg++];
        if (site.kind == TV_TEXT_JUMP_LABEL)
            site.jump = &t->jumps[c->jump++];
        site.size = tv_text_size(t, &site);
        if (at + site.size > TV_PAGE_SIZE)
            c->carried = at + site.size - TV_PAGE_SIZE;
        if (!readable)
            continue;
        judge(k, &site, res);
        tv_text_keep_early(&state, &site);
        memset(page + at, 0, site.size);
    }
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

/* The digest has condemned page `i`: say which lines of it differ. */
static void locate(const struct tv_digest_range *g, uint32_t i, const uint8_t digest[32], struct tv_result *res)
{
    uint64_t offset = (uint64_t)i * TV_PAGE_SIZE;
    bool located = false;

    for (uint32_t line = 0; line < TV_LINES_PER_PAGE; line++) {
        uint32_t at = line * TV_LINE_SIZE;
        uint8_t actual[TV_LINE_SIZE];

        if ((uint16_t)tv_crc32(0, page + at, TV_LINE_SIZE) == g->lines[i][line])
            continue;
        located = true;
        if (tv_range_read(&range, range.va + offset + at, actual, TV_LINE_SIZE))
            tv_find(res, "text-bytes", "_text", offset + at, range.va + offset + at, NULL, 0, actual, TV_LINE_SIZE,
                    "a line of code that differs from the package outside of the places that are patched");
    }
    if (!located) /* made to look the same line by line: the digest still tells */
        tv_find(res, "page-digest", "_text", offset, range.va + offset, g->digests[i], 32, digest, 32, NULL);
}

static void judge_page(struct tv_kernel *k, uint32_t i, struct cursor *c, struct tv_result *res)
{
    const struct tv_text *t = state.t;
    uint8_t digest[TV_SHA256_SIZE];
    bool readable = copy_page(t, i);

    if (!readable) {
        res->missing++;
        judge_places(k, i, false, c, res);
        return;
    }
    tv_text_lift_probes(&state, k, range.va + (uint64_t)i * TV_PAGE_SIZE, window, sizeof(window));
    tv_text_keep_callers(&state, i * TV_PAGE_SIZE, page);
    if (state.call_depth)
        uncount(t, i);
    judge_places(k, i, true, c, res);
    unrelocate(&t->range, i, state.delta);
    tv_sha256(page, TV_PAGE_SIZE, digest);
    res->units++;
    if (memcmp(digest, t->range.digests[i], sizeof(digest)) != 0)
        locate(&t->range, i, digest, res);
}

/* The rights of a section's pages: code is never writable, data never executable.  One finding a leaf. */
static void judge_rights(struct tv_kernel *k, uint32_t first, uint32_t end, bool executable, struct tv_result *res)
{
    struct tv_translation tr;

    for (uint64_t at = first; at < end;) {
        uint64_t va = state.text + at;

        if (tv_translate(k, va, &tr)) {
            at += TV_PAGE_SIZE; /* not there: who reads it says so */
            continue;
        }
        if (tr.writable || (tr.executable && !executable))
            tv_find(res, "mapping", "_text", at, va, NULL, 0, NULL, 0,
                    tr.writable ? "read-only memory of the kernel is mapped writable"
                                : "memory that holds no code is mapped executable");
        else if (executable && !tr.executable)
            tv_find(res, "mapping", "_text", at, va, NULL, 0, NULL, 0, "the kernel's code is mapped without execution");
        at += tr.size - (va & (tr.size - 1));
    }
}

static void scan(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text *t = k->profile->text;
    struct cursor c = { 0 };

    tv_range_refresh(k, &range);
    state.poking = false;
    if (!tv_text_state_read(&state, k, res)) {
        res->missing++;
        return;
    }
    tv_text_ftrace_read(&state, k);
    tv_text_probes_read(&state, k);
    tv_text_answer(&state, k);
    tv_text_tell_owners(&state, k);
    judge_rights(k, 0, t->range.npages * TV_PAGE_SIZE, true, res);
    judge_rights(k, t->rodata, t->rodata_end, false, res);
    for (uint32_t i = 0; i < t->range.npages; i++)
        judge_page(k, i, &c, res);
    tv_text_trampolines(&state, k);
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    if (!k->profile->text) {
        tv_settle(res, k->profile->text_reason);
        return;
    }
    scan(k, res);
    for (uint32_t again = 0; state.poking && again < POKES; again++) {
        tv_sleep_ns(POKE_NS);
        tv_pt_cache_flush(k);
        memset(res, 0, sizeof(*res));
        scan(k, res);
    }
    tv_settle(res, "no page of .text could be read");
}

const struct tv_check tv_check_text = { "text", attach, run, detach };
