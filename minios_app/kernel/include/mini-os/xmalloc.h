/* SPDX-License-Identifier: MIT */
/* The heap.  Its memory is never executable; a bad or double free is a BUG. */
#ifndef MINIOS_XMALLOC_H
#define MINIOS_XMALLOC_H

#include <mini-os/types.h>

#define DEFAULT_ALIGN (sizeof(unsigned long))

/* NULL without memory.  Blocks are at least 16-byte aligned; a size of 0 gives a block of its own. */
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);

/* `align`: a power of two up to the page size. */
void *_xmalloc(size_t size, size_t align);
void xfree(const void *p);

static inline void *_xmalloc_array(size_t size, size_t align, size_t num)
{
    size_t bytes;

    return __builtin_mul_overflow(size, num, &bytes) ? NULL : _xmalloc(bytes, align);
}

#define xmalloc(type)            ((type *)_xmalloc(sizeof(type), __alignof__(type)))
#define xmalloc_array(type, num) ((type *)_xmalloc_array(sizeof(type), __alignof__(type), num))

#endif
