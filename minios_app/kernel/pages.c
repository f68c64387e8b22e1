/* SPDX-License-Identifier: MIT */
/* The page allocator: one bit a page, set while in use; first fit from the lowest free page. */
#include <mini-os/lib.h>
#include <mini-os/mm.h>

#include "internal.h"

#define WORD_BITS 64

unsigned long nr_free_pages;

static uint64_t *bitmap;
static unsigned long nr_pages;
static unsigned long lowest_free; /* no free page below this one */

bool pages_ready(void)
{
    return bitmap != NULL;
}

static bool in_use(unsigned long pfn)
{
    return bitmap[pfn / WORD_BITS] & (1ULL << (pfn % WORD_BITS));
}

static void mark(unsigned long pfn, unsigned long n, bool used)
{
    for (unsigned long end = pfn + n; pfn < end; pfn++) {
        ASSERT(in_use(pfn) != used);
        bitmap[pfn / WORD_BITS] ^= 1ULL << (pfn % WORD_BITS);
    }
}

void pages_init(unsigned long start_pfn, unsigned long max_pfn)
{
    unsigned long bytes = (max_pfn + WORD_BITS - 1) / WORD_BITS * sizeof(*bitmap);
    uint64_t *map = pfn_to_virt(start_pfn);

    memset(map, 0xff, bytes);
    bitmap = map;
    nr_pages = max_pfn;
    lowest_free = start_pfn + PFN_UP(bytes);
    nr_free_pages = max_pfn - lowest_free;
    mark(lowest_free, nr_free_pages, false);
}

void init_mm(void)
{
    unsigned long start_pfn, max_pfn;

    arch_init_mm(&start_pfn, &max_pfn);
    pages_init(start_pfn, max_pfn);
}

static unsigned long alloc_aligned(unsigned long n, unsigned long align)
{
    unsigned long pfn, i;

    if (!n || n > nr_free_pages)
        return 0;
    while (lowest_free < nr_pages && in_use(lowest_free))
        lowest_free++;
    pfn = (lowest_free + align - 1) / align * align;
    while (pfn + n <= nr_pages) {
        for (i = n; i && !in_use(pfn + i - 1); i--)
            ;
        if (!i) {
            mark(pfn, n, true);
            nr_free_pages -= n;
            return pfn << PAGE_SHIFT;
        }
        pfn = (pfn + i + align - 1) / align * align; /* behind the highest page in the way */
    }
    return 0;
}

unsigned long alloc_page_range(unsigned long n)
{
    return alloc_aligned(n, 1);
}

void free_page_range(unsigned long va, unsigned long n)
{
    unsigned long pfn = virt_to_pfn(va);

    ASSERT(!(va & ~PAGE_MASK) && pfn < nr_pages && n <= nr_pages - pfn);
    mark(pfn, n, false);
    nr_free_pages += n;
    if (pfn < lowest_free)
        lowest_free = pfn;
}

unsigned long alloc_pages(int order)
{
    return alloc_aligned(1UL << order, 1UL << order);
}

void free_pages(void *pointer, int order)
{
    free_page_range((unsigned long)pointer, 1UL << order);
}
