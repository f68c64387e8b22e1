/* SPDX-License-Identifier: MIT */
/* The demand area: which of its addresses are reserved. */
#include <mini-os/lib.h>
#include <mini-os/mm.h>
#include <mini-os/xmalloc.h>

#include "demand.h"

/* A reserved extent; the list is sorted and its extents do not touch unless reserved apart. */
struct extent {
    struct extent *next;
    unsigned long start, end; /* page numbers within the area */
};

static struct extent *extents;

static unsigned long align_up(unsigned long x, unsigned long alignment)
{
    return (x + alignment - 1) / alignment * alignment;
}

unsigned long allocate_ondemand(unsigned long n, unsigned long alignment)
{
    struct extent **link = &extents, *e;
    unsigned long at = 0;

    if (!n || !alignment || n > DEMAND_MAP_PAGES || alignment > DEMAND_MAP_PAGES)
        return 0;
    while (*link && (*link)->start < at + n) {
        at = align_up((*link)->end, alignment);
        link = &(*link)->next;
    }
    if (at > DEMAND_MAP_PAGES - n)
        return 0;
    e = xmalloc(struct extent);
    if (!e)
        return 0;
    e->start = at;
    e->end = at + n;
    e->next = *link;
    *link = e;
    return VIRT_DEMAND_AREA + (at << PAGE_SHIFT);
}

bool demand_contains(unsigned long va)
{
    return va >= VIRT_DEMAND_AREA && va < VIRT_DEMAND_AREA + (DEMAND_MAP_PAGES << PAGE_SHIFT);
}

void demand_release(unsigned long va, unsigned long n)
{
    unsigned long start = (va - VIRT_DEMAND_AREA) >> PAGE_SHIFT, end = start + n;
    struct extent **link = &extents, *e;

    for (e = *link; e && e->start < end; e = *link) {
        if (e->end <= start) {
            link = &e->next;
        } else if (e->start >= start && e->end <= end) {
            *link = e->next;
            xfree(e);
        } else if (e->start < start && e->end > end) {
            struct extent *above = xmalloc(struct extent);

            if (!above)
                return; /* the hole stays reserved: lost address space, no harm */
            above->start = end;
            above->end = e->end;
            above->next = e->next;
            e->end = start;
            e->next = above;
            return;
        } else if (e->start < start) {
            e->end = start;
            link = &e->next;
        } else {
            e->start = end;
            link = &e->next;
        }
    }
}
