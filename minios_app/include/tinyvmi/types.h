/* SPDX-License-Identifier: MIT */
/*
 * What the C core may assume of its surroundings: fixed-width integers, four
 * memory routines (given by Mini-OS or by the host's libc) and errno numbers,
 * which are Xen's (public/errno.h) and Linux's alike.
 */
#ifndef TINYVMI_TYPES_H
#define TINYVMI_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

#define TV_PAGE_SHIFT 12
#define TV_PAGE_SIZE  4096u
#define TV_PAGE_MASK  (~(uint64_t)(TV_PAGE_SIZE - 1))

#define TV_EPERM      1
#define TV_ENOENT     2
#define TV_ESRCH      3
#define TV_EIO        5
#define TV_EAGAIN     11
#define TV_ENOMEM     12
#define TV_EACCES     13
#define TV_EFAULT     14
#define TV_EBUSY      16
#define TV_EINVAL     22
#define TV_EOPNOTSUPP 95

/* An invariant of ours, never of what the guest holds: without it nothing that follows can be trusted. */
#define TV_ASSERT(condition)  \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

#define TV_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
