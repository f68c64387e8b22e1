/* SPDX-License-Identifier: MIT */
/*
 * text: every byte of .text.  One pass over the pages and the table of places
 * that the kernel patches: each place is compared with the encoding that the
 * kernel's state asks for, then blanked; the rest of the page is brought back
 * to link addresses and digested.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "text_internal.h"

/* A text poke ends within microseconds; a row of them, as of a tracer that is switched on, may take longer. */
#define POKES   3
#define POKE_NS UINT64_C(5000000)

static struct tv_range range;
static struct tv_text_state state;
static struct tv_text_area area;
static struct tv_text_pass pass;
static uint8_t *const page = pass.window + TV_TEXT_BEFORE;

static void detach(struct tv_kernel *k)
{
    if (!k->profile->text)
        return;
    tv_range_close(k, &range);
    tv_text_area_close(&area);
    tv_text_state_close(&state);
}

static int attach(struct tv_kernel *k)
{
    const struct tv_text *t = k->profile->text;
    int err;

    if (!t)
        return 0;
    err = tv_text_state_open(&state, k);
    if (err)
        return err;
    err = tv_text_area_open(&area, t->code.jump_key_count, t->code.call_key_count);
    if (!err)
        err = tv_range_open(k, &range, t->range.va, (uint64_t)t->range.npages * TV_PAGE_SIZE);
    if (err) {
        tv_text_area_close(&area);
        tv_text_state_close(&state);
        return err;
    }
    area.c = &t->code;
    area.symbol = "_text";
    area.va = range.va;
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

static void judge_page(struct tv_kernel *k, uint32_t i, struct tv_result *res)
{
    const struct tv_digest_range *g = &state.t->range;
    uint8_t digest[TV_DIGEST_SIZE];

    if (!tv_text_page(&pass, k, i, res))
        return;
    unrelocate(g, i, state.delta);
    tv_digest(page, TV_PAGE_SIZE, digest);
    res->units++;
    if (memcmp(digest, g->digests[i], sizeof(digest)) != 0)
        locate(g, i, digest, res);
}

static void scan(struct tv_kernel *k, struct tv_result *res)
{
    const struct tv_text *t = k->profile->text;

    tv_range_refresh(k, &range);
    state.poking = false;
    if (!tv_text_state_read(&state, k, res) || !tv_text_keys_read(&state, &area, k) ||
        !tv_text_constants_read(&state, k, res)) {
        res->missing++;
        return;
    }
    tv_text_ftrace_read(&state, k);
    tv_text_probes_read(&state, k);
    tv_text_answer(&state, k);
    tv_text_tell_calls(&state, &area, k);
    tv_text_tell_owners(&state, k);
    tv_text_rights(k, "_text", state.text, state.text, (uint64_t)t->range.npages * TV_PAGE_SIZE, true, res);
    tv_text_rights(k, "_text", state.text, state.text + t->rodata, t->rodata_end - t->rodata, false, res);
    pass.s = &state;
    pass.a = &area;
    pass.range = &range;
    pass.arg = pass.jump = pass.carried = 0;
    for (uint32_t i = 0; i < t->range.npages; i++)
        judge_page(k, i, res);
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
