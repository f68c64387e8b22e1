/* SPDX-License-Identifier: MIT */
#ifndef MINIOS_MM_H
#define MINIOS_MM_H

#include <mini-os/arch_mm.h>
#include <mini-os/types.h>
#include <xen/xen.h>

/* Stacks of threads and of the boot; a guard page lies below each. */
#define STACK_SIZE_PAGE_ORDER 3
#define STACK_SIZE            (PAGE_SIZE << STACK_SIZE_PAGE_ORDER)

extern unsigned long nr_free_pages;

void init_mm(void);

/* 2^order pages, mapped, aligned to their size, not cleared; 0 without memory. */
unsigned long alloc_pages(int order);
void free_pages(void *pointer, int order);
#define alloc_page() alloc_pages(0)
#define free_page(p) free_pages(p, 0)

/* `n` consecutive pages in any number. */
unsigned long alloc_page_range(unsigned long n);
void free_page_range(unsigned long va, unsigned long n);

static inline int get_order(unsigned long size)
{
    int order = 0;

    for (size = (size - 1) >> PAGE_SHIFT; size; size >>= 1)
        order++;
    return order;
}

/*
 * Reserve `n` pages of address space in the demand area, aligned to
 * `alignment` pages; 0 if there is no room.  unmap_frames() gives them back.
 */
unsigned long allocate_ondemand(unsigned long n, unsigned long alignment);

/*
 * Show frames mfns[i * stride] + i * incr, i in [0, n), at `va` (page aligned)
 * with the page-table bits `prot`.  They belong to domain `id`: guest frames
 * (gfns) of a translated domain, machine frames of a PV one.
 *
 * Requests go to Xen in batches.  With `err` (n entries), a frame that Xen
 * refuses gets its negative errno there, its page shows nothing (whatever it
 * showed before), and the others are mapped all the same.  Without `err`, a
 * refusal ends the domain.
 *
 * 0, or -EINVAL (no frames), -ENOMEM (no page table; nothing more is mapped).
 */
int do_map_frames(unsigned long va, const unsigned long *mfns, unsigned long n, unsigned long stride,
                  unsigned long incr, domid_t id, int *err, unsigned long prot);

/* allocate_ondemand() and do_map_frames(); NULL on failure. */
void *map_frames_ex(const unsigned long *mfns, unsigned long n, unsigned long stride, unsigned long incr,
                    unsigned long alignment, domid_t id, int *err, unsigned long prot);

/* Clear the pages and, in the demand area, give up their reservation.  0 or -errno. */
int unmap_frames(unsigned long va, unsigned long num_frames);

#define map_frames(f, n) map_frames_ex(f, n, 1, 0, 1, DOMID_SELF, NULL, L1_PROT)

#endif
