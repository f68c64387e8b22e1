/* SPDX-License-Identifier: MIT */
/*
 * policy-globals: golden values.
 */
#ifndef CHECKS_POLICY_GLOBALS_H
#define CHECKS_POLICY_GLOBALS_H

#include <tinyvmi/golden.h>

struct tv_policy_string { /* a string in the kernel's data that an attacker would like to choose */
    const char *symbol;
    uint64_t va;
    uint32_t size;                /* bytes of the array, the NUL included */
    const char *const *allowed;   /* NULL-terminated */
};

struct tv_policy_globals {
    const struct tv_policy_string *strings; /* [count] */
    uint32_t count;
};

TV_GOLDEN(tv_policy_globals_golden, struct tv_policy_globals, TV_CHECK_POLICY_GLOBALS)

#endif
