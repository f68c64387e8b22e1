/* SPDX-License-Identifier: MIT */
/*
 * function-pointers: golden values.
 */
#ifndef CHECKS_FUNCTION_POINTERS_H
#define CHECKS_FUNCTION_POINTERS_H

#include <tinyvmi/golden.h>

/* Static pointers to functions and to constant tables of functions.  Offsets are from `va`, modulo 2^32. */
enum tv_pointer_flag { /* of a rule */
                       TV_POINTER_NULL = 1,    /* nothing may stand there */
                       TV_POINTER_ANY = 2,     /* any function of the kernel */
                       TV_POINTER_FOREIGN = 4, /* code outside of the kernel's own */
};
#define TV_POINTER_NO_SET 0xffff
struct tv_pointer_rule { /* of a slot that may change */
    uint32_t slot;
    uint16_t set; /* of `set_index`, or TV_POINTER_NO_SET */
    uint16_t flags;
};
struct tv_function_pointers {
    uint64_t va;            /* _text */
    const uint32_t *pages;  /* [page_count] ascending, those of 4 KiB from `va` that hold slots */
    const uint32_t *index;  /* [page_count + 1] into slots and targets */
    const uint16_t *slots;  /* offset in the page; a slot never crosses its end */
    const uint32_t *targets; /* what was compiled in */
    const struct tv_pointer_rule *rules; /* [rule_count] by slot */
    const uint32_t *set_index;  /* into set_values, one more than there are sets */
    const uint32_t *set_values; /* each set ascending */
    uint32_t page_count, rule_count;
};

TV_GOLDEN(tv_function_pointers_golden, struct tv_function_pointers, TV_CHECK_FUNCTION_POINTERS)

#endif
