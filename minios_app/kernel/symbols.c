/* SPDX-License-Identifier: MIT */
/* The image's own function names, written by toolchain/ksyms.py between the two links. */
#include <mini-os/types.h>

#include "internal.h"

/* Sorted by address; the last entry marks the end of text and has no name. */
struct ksym {
    uint32_t addr;
    uint32_t name; /* offset behind the table */
};

extern const struct ksym __ksyms_start[], __ksyms_end[];

const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size)
{
    size_t lo = 0, hi = (size_t)(__ksyms_end - __ksyms_start);

    if (hi < 2 || addr < __ksyms_start[0].addr || addr >= __ksyms_start[hi - 1].addr)
        return NULL;
    hi--;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;

        if (__ksyms_start[mid].addr <= addr)
            lo = mid;
        else
            hi = mid;
    }
    *offset = addr - __ksyms_start[lo].addr;
    *size = __ksyms_start[lo + 1].addr - __ksyms_start[lo].addr;
    return (const char *)__ksyms_end + __ksyms_start[lo].name;
}
