/* SPDX-License-Identifier: MIT */
/*
 * How a check finds its golden values: the table that its generated file
 * defines, by the number that the generated <tinyvmi_checks.h> gives it.
 */
#ifndef TINYVMI_GOLDEN_H
#define TINYVMI_GOLDEN_H

#include <tinyvmi/kernel.h>
#include <tinyvmi_checks.h>

/* Define `function(k)`: the golden values of check `id`, a `type`; NULL if this kernel's package gives none. */
#define TV_GOLDEN(function, type, id)                             \
    static inline const type *function(const struct tv_kernel *k) \
    {                                                             \
        return k->profile->golden[id]->table;                     \
    }

/* Why this kernel has no golden values of check `id`; NULL if it has. */
static inline const char *tv_golden_reason(const struct tv_kernel *k, enum tv_check_id id)
{
    return k->profile->golden[id]->reason;
}

#endif
