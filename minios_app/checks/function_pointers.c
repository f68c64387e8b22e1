/* SPDX-License-Identifier: MIT */
/*
 * function-pointers: the kernel's static pointers to functions, and to its
 * constant tables of functions, hold what was compiled into them, or what the
 * kernel's own code can have put there (tinyvmi_build/checks/function_pointers/pointer_rules.py).
 */
#include <tinyvmi/check.h>

#include "function_pointers.h"
#include "lib/code_owner.h"

#define WINDOW 32 /* pages shown at a time */

struct function_pointers_check {
    struct guest_view window;
};

static int init(void *context, struct tv_kernel *k)
{
    struct function_pointers_check *c = context;

    return tv_function_pointers_golden(k) ? guest_view_reserve(k->gm, &c->window, WINDOW) : 0;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct function_pointers_check *c = context;

    if (tv_function_pointers_golden(k))
        guest_view_release(k->gm, &c->window);
}

/* Show pages first .. first + n of the table. */
static void show(struct tv_kernel *k, struct guest_view *window, const struct tv_function_pointers *g,
                 uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct tv_translation t;
        uint64_t va = g->va + k->delta + (uint64_t)g->pages[first + i] * TV_PAGE_SIZE;

        window->gfn[i] = tv_translate(k, va, &t) ? GFN_NONE : t.pa >> TV_PAGE_SHIFT;
    }
    tv_view_map(k, window, 0, n);
}

static const struct tv_pointer_rule *rule_of(const struct tv_function_pointers *g, uint32_t slot)
{
    uint32_t low = 0, high = g->rule_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (g->rules[middle].slot == slot)
            return &g->rules[middle];
        if (g->rules[middle].slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool in_set(const struct tv_function_pointers *g, uint32_t set, uint32_t offset)
{
    uint32_t low = g->set_index[set], high = g->set_index[set + 1];

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (g->set_values[middle] == offset)
            return true;
        if (g->set_values[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

enum answer { ALLOWED, CHANGED, ELSEWHERE /* code that nothing has verified */ };

/* May `value`, which was not compiled in, stand in the slot? */
static enum answer classify(struct tv_kernel *k, const struct tv_function_pointers *g, uint32_t slot,
                            uint64_t value)
{
    const struct tv_pointer_rule *rule = rule_of(g, slot);
    uint64_t offset = value - (g->va + k->delta);

    if (!rule)
        return CHANGED;
    if (value == 0)
        return rule->flags & TV_POINTER_NULL ? ALLOWED : CHANGED;
    if (offset < k->profile->image_size) {
        if (rule->set != TV_POINTER_NO_SET && in_set(g, rule->set, (uint32_t)offset))
            return ALLOWED;
        return (rule->flags & TV_POINTER_ANY) && tv_code_entry(k, value) == TV_CODE_KERNEL ? ALLOWED
                                                                                           : CHANGED;
    }
    if (!(rule->flags & TV_POINTER_FOREIGN))
        return CHANGED;
    switch (tv_code_entry(k, value)) {
    case TV_CODE_KERNEL:
    case TV_CODE_MODULE: return ALLOWED;
    case TV_CODE_UNKNOWN: return ELSEWHERE;
    case TV_CODE_NONE: break;
    }
    return CHANGED;
}

/* Page number `page` of the table, which `window` shows at `at`.  How many slots lead to unknown code. */
static uint32_t check_page(struct tv_kernel *k, const struct guest_view *window,
                           const struct tv_function_pointers *g, uint32_t page, uint32_t at,
                           struct tv_result *res)
{
    uint32_t elsewhere = 0;

    for (uint32_t slot = g->index[page]; slot < g->index[page + 1]; slot++) {
        uint64_t from_text = (uint64_t)g->pages[page] * TV_PAGE_SIZE + g->slots[slot];
        uint64_t expected = g->va + k->delta + g->targets[slot], actual;

        if (!guest_view_read(window, (uint64_t)at * TV_PAGE_SIZE + g->slots[slot], &actual, sizeof(actual))) {
            res->missing++;
            continue;
        }
        res->items++;
        if (actual == expected)
            continue;
        switch (classify(k, g, slot, actual)) {
        case ALLOWED: break;
        case ELSEWHERE: elsewhere++; break;
        case CHANGED:
            tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_POINTER,
                                                              .symbol = "_text",
                                                              .offset = from_text,
                                                              .address = g->va + k->delta + from_text,
                                                              .expected = &expected,
                                                              .expected_size = sizeof(expected),
                                                              .actual = &actual,
                                                              .actual_size = sizeof(actual) });
            break;
        }
    }
    return elsewhere;
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct function_pointers_check *c = context;
    const struct tv_function_pointers *g = tv_function_pointers_golden(k);
    uint32_t elsewhere = 0;

    (void)budget;
    if (!g) {
        tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_FUNCTION_POINTERS));
        return TV_STEP_DONE;
    }
    for (uint32_t first = 0; first < g->page_count; first += WINDOW) {
        uint32_t n = g->page_count - first < WINDOW ? g->page_count - first : WINDOW;

        show(k, &c->window, g, first, n);
        for (uint32_t i = 0; i < n; i++)
            elsewhere += check_page(k, &c->window, g, first + i, i, res);
    }
    tv_result_finalize(res, "no pointer could be read");
    if (res->verdict == TV_INTACT && elsewhere) {
        res->verdict = TV_UNVERIFIABLE;
        res->reason = "a hook that modules or BPF may set leads to code that is not verified";
    }
    return TV_STEP_DONE;
}

const struct tv_check tv_check_function_pointers = {
    .name = "function-pointers",
    .id = TV_CHECK_FUNCTION_POINTERS,
    .context_size = sizeof(struct function_pointers_check),
    .init = init,
    .deinit = deinit,
    .step = step,
};
