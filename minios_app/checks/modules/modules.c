/* SPDX-License-Identifier: MIT */
/*
 * modules: the text and the read-only data of every loaded module, against the
 * .ko of the package.  A module that has none is unverifiable by its name, or
 * a finding; all others are checked all the same.
 */
#include <tinyvmi/platform.h>

#include "../lib/function_table.h"
#include "internal.h"

#define STALE_NS UINT64_C(100000000)

/*
 * tv_kernel.modules: other checks ask, before this one has begun in a scan and between its steps.  They have a list
 * of their own, which is read again when it is old.
 */
static bool is_entry(void *context, struct tv_kernel *k, uint64_t va)
{
    struct tv_modules_check *c = context;
    struct tv_module_list *l = &c->lookup;

    if (!l->read_ns || tv_now_ns() - l->read_ns > STALE_NS)
        tv_module_list_read(l, c->m, k, NULL);
    for (uint32_t i = 0; i < c->m->count; i++) {
        uint64_t offset = va - l->seen[i].base[TV_MODULE_TEXT];

        if (l->seen[i].loaded && offset < c->m->list[i].sizes[TV_MODULE_TEXT])
            return tv_function_at(&c->m->list[i].code, (uint32_t)offset) != NULL;
    }
    return false;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct tv_modules_check *c = context;
    void *tables[] = { c->caches, c->list.seen, c->lookup.seen };

    if (!c->m)
        return;
    k->modules = (struct tv_module_lookup){ 0 };
    tv_range_deinit(k, &c->range);
    tv_text_area_deinit(&c->area, k);
    tv_text_state_deinit(&c->text);
    for (uint32_t i = 0; c->caches && i < c->m->count; i++)
        tv_module_cache_deinit(&c->caches[i], k);
    for (uint32_t i = 0; i < TV_ARRAY_SIZE(tables); i++)
        if (tables[i])
            tv_free(tables[i]);
}

static int init(void *context, struct tv_kernel *k)
{
    struct tv_modules_check *c = context;
    const struct tv_modules *m = tv_modules_golden(k);
    int err;

    if (!m || !tv_text_golden(k))
        return 0;
    err = tv_range_init(k, &c->range, k->profile->text_va, TV_MODULES_WINDOW * TV_PAGE_SIZE);
    if (err)
        return err;
    c->m = m;
    err = tv_text_state_init(&c->text, k);
    if (!err)
        err = tv_text_area_init(&c->area, k, m->jump_keys, m->call_keys);
    c->list.seen = tv_alloc((m->count + 1) * sizeof(*c->list.seen));
    c->lookup.seen = tv_alloc((m->count + 1) * sizeof(*c->lookup.seen));
    c->caches = tv_alloc((m->count + 1) * sizeof(*c->caches));
    if (!err && (!c->list.seen || !c->lookup.seen || !c->caches))
        err = -TV_ENOMEM;
    if (err) {
        deinit(c, k);
        return err;
    }
    c->text.in_modules = true;
    k->modules = (struct tv_module_lookup){ .is_entry = is_entry, .context = c };
    return 0;
}

/* What ftrace and kprobes keep.  What is wrong with it the text check reports. */
static void read_bookkeeping(struct tv_modules_check *c, struct tv_kernel *k)
{
    c->text.res = NULL;
    tv_text_ftrace_read(&c->text, k);
    tv_text_probes_read(&c->text, k);
}

/* What was valid by another patching state need not be, whether the module can be checked now or not. */
static void drop_stale_caches(struct tv_modules_check *c, struct tv_kernel *k)
{
    for (uint32_t i = 0; i < c->m->count; i++)
        if (!c->list.seen[i].loaded || c->text.changed)
            tv_module_cache_deinit(&c->caches[i], k);
}

/* Read what all modules depend on; `faults` is where what is wrong with it is reported. */
static void read_state(struct tv_modules_check *c, struct tv_kernel *k, struct tv_result *faults,
                       struct tv_result *res)
{
    c->text.res = faults;
    c->unreadable = !tv_text_state_read(&c->text, k);
    if (c->unreadable) {
        res->missing++;
        return;
    }
    read_bookkeeping(c, k);
    drop_stale_caches(c, k);
}

static void begin(void *context, struct tv_kernel *k, struct tv_result *res)
{
    struct tv_modules_check *c = context;

    if (!c->m)
        return;
    tv_module_list_read(&c->list, c->m, k, res);
    read_state(c, k, res, res);
    res->items += !c->unreadable; /* the list itself */
    c->next = 0;
}

/* The modules that are left.  False: the budget is spent. */
static bool check_modules(struct tv_modules_check *c, struct tv_kernel *k, const struct tv_budget *budget,
                          struct tv_result *res)
{
    bool worked = false;

    if (budget->resumed && !c->unreadable)
        read_state(c, k, NULL, res);
    c->text.res = res;
    for (; c->next < c->m->count && !c->unreadable; c->next++) {
        if (!c->list.seen[c->next].loaded)
            continue;
        if ((worked || !budget->resumed) && tv_budget_is_spent(budget))
            return false;
        tv_module_check(c, k, c->next, res);
        worked = true; /* however small the budget is, each step gets on */
    }
    return true;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct tv_modules_check *c = context;

    if (!c->m) {
        tv_result_finalize(res, tv_golden_reason(k, tv_modules_golden(k) ? TV_CHECK_TEXT : TV_CHECK_MODULES));
        return TV_STEP_DONE;
    }
    if (!check_modules(c, k, budget, res))
        return TV_STEP_MORE;
    /* A module on its way is read again before it is reported, as what could not be read is. */
    if (!c->unreadable)
        res->missing += c->list.busy;
    tv_result_finalize(res, NULL);
    if (!c->unreadable && !res->findings && c->list.length &&
        (c->list.strange || res->missing == c->list.busy)) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = c->list.names;
    }
    return TV_STEP_DONE;
}

const struct tv_check tv_check_modules = {
    .name = "modules",
    .id = TV_CHECK_MODULES,
    .context_size = sizeof(struct tv_modules_check),
    .init = init,
    .deinit = deinit,
    .begin = begin,
    .step = step,
};
