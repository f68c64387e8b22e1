/* SPDX-License-Identifier: MIT */
#include <mini-os/mm.h>

#include "smoke.h"

#define MAX_HELD 4096

static unsigned long held[MAX_HELD];

static void orders(void)
{
    unsigned long before = nr_free_pages;

    for (int order = 0; order < 8; order++) {
        unsigned long a = alloc_pages(order), b = alloc_pages(order), size = PAGE_SIZE << order;

        CHECK(a && b && !(a & (size - 1)) && !(b & (size - 1)));
        CHECK(a + size <= b || b + size <= a);
        memset((void *)a, 0xaa, size);
        memset((void *)b, 0xbb, size);
        CHECK(*(unsigned char *)(a + size - 1) == 0xaa && *(unsigned char *)b == 0xbb);
        free_pages((void *)a, order);
        free_pages((void *)b, order);
    }
    CHECK(nr_free_pages == before);
}

static void ranges(void)
{
    unsigned long before = nr_free_pages, a = alloc_page_range(5), b = alloc_page_range(7), c;

    CHECK(a && b && nr_free_pages == before - 12);
    free_page_range(a + 2 * PAGE_SIZE, 1);
    c = alloc_page();
    CHECK(c && c <= a + 2 * PAGE_SIZE); /* first fit takes the hole or a lower one */
    CHECK(nr_free_pages == before - 12);
    free_page_range(a, 2);
    free_page_range(a + 3 * PAGE_SIZE, 2);
    free_page_range(b, 7);
    free_page_range(c, 1);
    CHECK(nr_free_pages == before);
    CHECK(!alloc_page_range(0) && !alloc_page_range(before + 1));
}

static void exhaustion(void)
{
    unsigned long before = nr_free_pages, n = 0;

    while (n < MAX_HELD && (held[n] = alloc_pages(2)))
        n++;
    if (n < MAX_HELD)
        CHECK(alloc_pages(2) == 0);
    CHECK(n > 100);
    while (n--)
        free_pages((void *)held[n], 2);
    CHECK(nr_free_pages == before);
}

static void all_mapped(void)
{
    /* The last page of a 32 MB domain too, which Xen's own boot mapping does not reach. */
    unsigned long page = (start_info.nr_pages - 1) << PAGE_SHIFT, old = *(volatile unsigned long *)page;

    *(volatile unsigned long *)page = ~old;
    CHECK(*(volatile unsigned long *)page == ~old);
    *(volatile unsigned long *)page = old;
    CHECK(mfn_to_virt(virt_to_mfn(page)) == (void *)page);
    CHECK(get_order(1) == 0 && get_order(4096) == 0 && get_order(4097) == 1 && get_order(65536) == 4);
}

SMOKE_TESTS(pages) = {
    { "pages: orders are aligned and apart", orders },
    { "pages: ranges, and holes in them", ranges },
    { "pages: exhaustion gives 0 and can be undone", exhaustion },
    { "pages: all memory is mapped", all_mapped },
    SMOKE_END,
};
