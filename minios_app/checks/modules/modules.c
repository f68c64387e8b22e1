/* SPDX-License-Identifier: MIT */
/*
 * modules: the text and the read-only data of every loaded module, against the
 * .ko of the package.  A module that has none is unverifiable by its name, or
 * a finding; all others are judged all the same.
 */
#include <tinyvmi/check.h>
#include <tinyvmi/platform.h>

#include "internal.h"

#define STALE_NS UINT64_C(100000000)

static struct tv_modules_state state;

/* tv_kernel.module_entry: other checks ask before this one has run in a scan. */
static bool module_entry(struct tv_kernel *k, uint64_t va)
{
    if (!state.judging && (!state.walked || tv_now_ns() - state.walked > STALE_NS))
        tv_modules_walk(&state, k, NULL);
    for (uint32_t i = 0; i < state.m->count; i++) {
        uint64_t offset = va - state.seen[i].base[TV_MODULE_TEXT];

        if (state.seen[i].loaded && offset < state.m->list[i].sizes[TV_MODULE_TEXT])
            return tv_text_has_entry(&state.m->list[i].code, (uint32_t)offset);
    }
    return false;
}

static bool possible(const struct tv_kernel *k)
{
    return tv_modules_golden(k) && tv_text_golden(k);
}

static void detach(struct tv_kernel *k)
{
    if (!possible(k))
        return;
    k->module_entry = NULL;
    tv_range_close(k, &state.range);
    tv_text_area_close(&state.area, k);
    tv_text_state_close(&state.text);
    for (uint32_t i = 0; state.copies && i < state.m->count; i++)
        tv_module_forget(&state.copies[i]);
    if (state.copies)
        tv_free(state.copies);
    if (state.seen)
        tv_free(state.seen);
    state.seen = NULL;
    state.copies = NULL;
}

static int attach(struct tv_kernel *k)
{
    const struct tv_modules *m = tv_modules_golden(k);
    int err;

    if (!possible(k))
        return 0;
    memset(&state, 0, sizeof(state));
    state.m = m;
    err = tv_range_open(k, &state.range, k->profile->text_va, TV_MODULES_WINDOW * TV_PAGE_SIZE);
    if (err)
        return err;
    err = tv_text_state_open(&state.text, k);
    if (!err)
        err = tv_text_area_open(&state.area, k, m->jump_keys, m->call_keys);
    state.seen = tv_alloc((m->count + 1) * sizeof(*state.seen));
    state.copies = tv_alloc((m->count + 1) * sizeof(*state.copies));
    if (!err && (!state.seen || !state.copies))
        err = -TV_ENOMEM;
    if (err) {
        detach(k);
        return err;
    }
    k->module_entry = module_entry;
    return 0;
}

/* What ftrace and kprobes keep.  Faults in it are the text check's to tell. */
static void read_books(struct tv_kernel *k)
{
    static struct tv_result told;

    memset(&told, 0, sizeof(told));
    state.text.res = &told;
    state.text.in_modules = true;
    tv_text_ftrace_read(&state.text, k);
    tv_text_probes_read(&state.text, k);
}

static void judge(struct tv_kernel *k, struct tv_result *res)
{
    tv_modules_walk(&state, k, res);
    if (!tv_text_state_read(&state.text, k, res)) {
        res->missing++;
        tv_settle(res, NULL);
        return;
    }
    read_books(k);
    state.text.res = res;
    res->units++; /* the list itself */
    for (uint32_t i = 0; i < state.m->count; i++) {
        /* What was right by other choices of the kernel need not be, whether the module can be judged now or not. */
        if (!state.seen[i].loaded || state.text.renewed)
            tv_module_forget(&state.copies[i]);
        if (state.seen[i].loaded)
            tv_module_judge(&state, k, i, res);
    }
    /* Read again before it is believed, as what could not be read is. */
    res->missing += state.busy;
    tv_settle(res, NULL);
    if (!res->findings && state.length && (state.strange || res->missing == state.busy)) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = state.names;
    }
}

static void run(struct tv_kernel *k, struct tv_result *res)
{
    if (!possible(k)) {
        tv_settle(res, tv_modules_golden(k) ? tv_golden_reason(k, TV_CHECK_TEXT) : tv_golden_reason(k, TV_CHECK_MODULES));
        return;
    }
    state.judging = true;
    judge(k, res);
    state.judging = false;
}

const struct tv_check tv_check_modules = { .name = "modules", .attach = attach, .run = run, .detach = detach };
