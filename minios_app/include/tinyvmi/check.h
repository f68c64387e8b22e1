/* SPDX-License-Identifier: MIT */
/*
 * A check compares one part of the running kernel with its golden values.  It works in steps, keeps all that it
 * knows in a context of its own, and neither sleeps nor schedules: the monitor decides when the next step runs.
 *
 * It is found by its name: checks/NAME.c or checks/NAME/, tinyvmi_build/checks/NAME/.
 */
#ifndef TINYVMI_CHECK_H
#define TINYVMI_CHECK_H

#include <tinyvmi/finding.h>
#include <tinyvmi/golden.h>
#include <tinyvmi/platform.h>

/* How long a step may work.  A step that is over its budget ends as soon as what it has read can be left. */
struct tv_budget {
    uint64_t until_ns; /* UINT64_MAX: as long as it takes */
    bool resumed;      /* the target has run since the last step: what was read of it must be read anew */
};

static inline bool tv_budget_is_spent(const struct tv_budget *b)
{
    return b->until_ns != UINT64_MAX && tv_now_ns() >= b->until_ns;
}

enum tv_step {
    TV_STEP_DONE,  /* the result is final */
    TV_STEP_MORE,  /* the budget is spent */
    TV_STEP_RETRY, /* the result is final, but the kernel was just patching what was read: worth beginning again */
};

/* Frames whose writes are tracked, and which of them were written since the last incremental check. */
struct tv_dirty {
    uint64_t first; /* gfn */
    uint32_t count;
    const uint8_t *bits; /* bit I: frame first + I was written */
    bool any; /* some was */
};

struct tv_check {
    const char *name;
    enum tv_check_id id;
    size_t context_size; /* of what each function gets as `context`: zeroed when init() is called; 0: none */

    /* Reserve memory and views for the kernel that was found; NULL: nothing to reserve.  0 or -TV_E…. */
    int (*init)(void *context, struct tv_kernel *k);
    void (*deinit)(void *context, struct tv_kernel *k);

    /* Begin a scan; NULL: nothing to do.  What it reports is part of the result. */
    void (*begin)(void *context, struct tv_kernel *k, struct tv_result *res);

    /* Map or revalidate, read, compare.  `res` is what begin() and the steps before have left in it. */
    enum tv_step (*step)(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res);

    /*
     * The incremental check between scans, or between the steps of one, or NULL: check only what may have changed
     * since this was intact.  A result without a finding means nothing for the rest.
     */
    void (*check_dirty)(void *context, struct tv_kernel *k, const struct tv_dirty *dirty,
                        struct tv_result *res);
};

/* The checks that this image was configured to make (generated checks.c). */
extern const struct tv_check *const tv_checks[];
extern const uint32_t tv_check_count;

#endif
