/* SPDX-License-Identifier: MIT */
/*
 * policy-globals: strings in the kernel's data that decide what it runs as
 * root (modprobe_path, core_pattern) have one of the values that the
 * configuration allows.
 */
#include <tinyvmi/check.h>

#include "policy_globals.h"

#define STRING_MAX 256 /* KMOD_PATH_LEN; CORENAME_MAX_SIZE is 128 */

static size_t bounded_length(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n])
        n++;
    return n;
}

static void compare(struct tv_kernel *k, const struct tv_policy_string *g, struct tv_result *res)
{
    uint64_t va = g->va + k->delta;
    char actual[STRING_MAX];
    size_t size = g->size < sizeof(actual) ? g->size : sizeof(actual), length;

    if (!guest_read_va(k, va, actual, size)) {
        res->missing++;
        return;
    }
    res->items++;
    length = bounded_length(actual, size);
    for (const char *const *allowed = g->allowed; *allowed; allowed++)
        if (length < size && strlen(*allowed) == length && memcmp(*allowed, actual, length) == 0)
            return;
    tv_report_finding(res,
                      &(struct tv_finding_args){ .kind = TV_KIND_STRING,
                                                 .symbol = g->symbol,
                                                 .address = va,
                                                 .expected = g->allowed[0],
                                                 .expected_size = g->allowed[0] ? strlen(g->allowed[0]) : 0,
                                                 .actual = actual,
                                                 .actual_size = length });
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    const struct tv_policy_globals *g = tv_policy_globals_golden(k);

    (void)context;
    (void)budget;
    for (uint32_t i = 0; g && i < g->count; i++)
        compare(k, &g->strings[i], res);
    tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_POLICY_GLOBALS));
    return TV_STEP_DONE;
}

const struct tv_check tv_check_policy_globals = {
    .name = "policy-globals",
    .id = TV_CHECK_POLICY_GLOBALS,
    .step = step,
};
