/* SPDX-License-Identifier: MIT */
#include <mini-os/errno.h>
#include <mini-os/mm.h>
#include <mini-os/xmalloc.h>

#include "../internal.h"
#include "smoke.h"

#define NPAGES  600 /* more than two batches */
#define BAD_MFN (1UL << 38)

static unsigned long mfns[NPAGES];
static int err[NPAGES];

static void read_byte(void *p)
{
    (void)*(volatile char *)p;
}

static bool readable(const void *p)
{
    struct caught c;

    return !catch_trap(read_byte, (void *)p, &c);
}

static void aliases(void)
{
    unsigned long a = alloc_page(), b = alloc_page();
    unsigned long two[] = { virt_to_mfn(a), virt_to_mfn(b) };
    volatile unsigned long *p = map_frames(two, 2);

    CHECK(a && b && p && (unsigned long)p >= VIRT_DEMAND_AREA);
    p[0] = 11;
    p[512] = 22;
    CHECK(*(unsigned long *)a == 11 && *(unsigned long *)b == 22);
    CHECK(!unmap_frames((unsigned long)p, 2));
    CHECK(!readable((void *)p) && !readable((char *)p + PAGE_SIZE));
    free_page((void *)a);
    free_page((void *)b);
}

static void stride_and_increment(void)
{
    unsigned long pages = alloc_page_range(4), one[2] = { virt_to_mfn(pages), 0 };
    unsigned long spread[4] = { virt_to_mfn(pages), 0, virt_to_mfn(pages + PAGE_SIZE), 0 };
    unsigned long *p;

    CHECK(pages);
    for (int i = 0; i < 4; i++)
        *(unsigned long *)(pages + (unsigned long)i * PAGE_SIZE) = 100 + (unsigned long)i;
    p = map_frames_ex(spread, 2, 2, 0, 1, DOMID_SELF, NULL, L1_PROT_RO);
    CHECK(p && p[0] == 100 && p[512] == 101);
    CHECK(!unmap_frames((unsigned long)p, 2));
    p = map_frames_ex(one, 3, 0, 0, 1, DOMID_SELF, NULL, L1_PROT_RO);
    CHECK(p && p[0] == 100 && p[512] == 100 && p[1024] == 100);
    CHECK(!unmap_frames((unsigned long)p, 3));
    if (virt_to_mfn(pages + PAGE_SIZE) == one[0] + 1) {
        p = map_frames_ex(one, 2, 0, 1, 1, DOMID_SELF, NULL, L1_PROT_RO);
        CHECK(p && p[0] == 100 && p[512] == 101);
        CHECK(!unmap_frames((unsigned long)p, 2));
    }
    free_page_range(pages, 4);
}

static bool is_bad(unsigned int i)
{
    return i == 0 || i == 1 || i == MMU_BATCH - 1 || i == MMU_BATCH || i == 400 || i == NPAGES - 1;
}

/* Bad frames at the ends of the batches and in the middle: each marks itself and no other. */
static void bad_frames_in_batches(void)
{
    unsigned long page = alloc_page();
    const char *p;

    *(unsigned long *)page = 0x600d;
    for (unsigned int i = 0; i < NPAGES; i++)
        mfns[i] = is_bad(i) ? BAD_MFN + i : virt_to_mfn(page);
    p = map_frames_ex(mfns, NPAGES, 1, 0, 1, DOMID_SELF, err, L1_PROT_RO);
    CHECK(p);
    for (unsigned int i = 0; i < NPAGES; i++) {
        CHECK(is_bad(i) ? err[i] < 0 : err[i] == 0);
        CHECK(is_bad(i) ? !readable(p + i * PAGE_SIZE) : *(unsigned long *)(p + i * PAGE_SIZE) == 0x600d);
    }
    CHECK(!unmap_frames((unsigned long)p, NPAGES));
    free_page((void *)page);
}

static void all_bad(void)
{
    const char *p;

    for (unsigned int i = 0; i < 20; i++)
        mfns[i] = BAD_MFN;
    p = map_frames_ex(mfns, 20, 1, 0, 1, DOMID_SELF, err, L1_PROT_RO);
    CHECK(p);
    for (unsigned int i = 0; i < 20; i++)
        CHECK(err[i] < 0 && !readable(p + i * PAGE_SIZE));
    CHECK(!unmap_frames((unsigned long)p, 20));
}

/* The second time over the same window: a frame gone bad must not leave the old page in sight. */
static void revalidation(void)
{
    unsigned long a = alloc_page(), b = alloc_page();
    unsigned long *p;

    *(unsigned long *)a = 1;
    *(unsigned long *)b = 2;
    for (unsigned int i = 0; i < 3; i++)
        mfns[i] = virt_to_mfn(a);
    p = map_frames_ex(mfns, 3, 1, 0, 1, DOMID_SELF, err, L1_PROT_RO);
    CHECK(p && p[0] == 1 && p[512] == 1 && p[1024] == 1);
    mfns[1] = BAD_MFN;
    mfns[2] = virt_to_mfn(b);
    CHECK(!do_map_frames((unsigned long)p, mfns, 3, 1, 0, DOMID_SELF, err, L1_PROT_RO));
    CHECK(err[0] == 0 && err[1] < 0 && err[2] == 0);
    CHECK(p[0] == 1 && !readable(p + 512) && p[1024] == 2);
    mfns[1] = virt_to_mfn(b);
    CHECK(!do_map_frames((unsigned long)p, mfns, 3, 1, 0, DOMID_SELF, err, L1_PROT_RO));
    CHECK(err[1] == 0 && p[512] == 2);
    CHECK(!unmap_frames((unsigned long)p, 3));
    free_page((void *)a);
    free_page((void *)b);
}

/* Xen, not we, decides what may be written: here one of our own page tables. */
static void refused_by_right(void)
{
    unsigned long mfn = virt_to_mfn(pt_base);
    const unsigned long *p = map_frames_ex(&mfn, 1, 1, 0, 1, DOMID_SELF, err, L1_PROT);

    CHECK(p && err[0] < 0 && !readable(p));
    CHECK(!do_map_frames((unsigned long)p, &mfn, 1, 1, 0, DOMID_SELF, err, L1_PROT_RO));
    CHECK(err[0] == 0 && p[0] == pt_base[0]);
    CHECK(!unmap_frames((unsigned long)p, 1));
}

static void no_such_domain(void)
{
    unsigned long mfn = 0;
    const char *p = map_frames_ex(&mfn, 1, 1, 0, 1, 1234, err, L1_PROT_RO);

    CHECK(p && err[0] == -ESRCH);
    CHECK(!unmap_frames((unsigned long)p, 1));
    CHECK(do_map_frames((unsigned long)p, NULL, 1, 1, 0, DOMID_SELF, err, L1_PROT_RO) == -EINVAL);
}

static void reservations(void)
{
    unsigned long a = allocate_ondemand(10, 1), b = allocate_ondemand(3, 512), c = allocate_ondemand(1, 1);

    CHECK(a && b && c && !(b & (512 * PAGE_SIZE - 1)));
    CHECK((a + 10 * PAGE_SIZE <= c || c < a) && (b + 3 * PAGE_SIZE <= c || c < b));
    /* A hole is used again; what lies around it stays reserved. */
    CHECK(!unmap_frames(a + 2 * PAGE_SIZE, 4));
    CHECK(allocate_ondemand(5, 1) != a + 2 * PAGE_SIZE);
    CHECK(allocate_ondemand(4, 1) == a + 2 * PAGE_SIZE);
    CHECK(!unmap_frames(a, 10) && allocate_ondemand(10, 1) == a);
    CHECK(!allocate_ondemand(0, 1) && !allocate_ondemand(DEMAND_MAP_PAGES, 1) && !allocate_ondemand(~0UL, 1));
    CHECK(!unmap_frames(VIRT_DEMAND_AREA, DEMAND_MAP_PAGES > 4096 ? 4096 : DEMAND_MAP_PAGES));
    CHECK(allocate_ondemand(1, 1) == VIRT_DEMAND_AREA);
    CHECK(!unmap_frames(VIRT_DEMAND_AREA, 1));
}

static void tables(void)
{
    unsigned long va = allocate_ondemand(1, 1) + (3UL << 30); /* where no table is yet */
    pgentry_t *pgt = need_pgt(va);

    CHECK(pgt && !*pgt && get_pgt(va) == pgt && !get_pgt(va + (1UL << 39)));
    CHECK(pte_to_mfn(*get_pgt((unsigned long)mfns)) == virt_to_mfn(mfns));
    CHECK(!unmap_frames(VIRT_DEMAND_AREA, 1));
}

SMOKE_TESTS(map) = {
    { "map: own frames a second time", aliases },
    { "map: stride and increment", stride_and_increment },
    { "map: bad frames in large batches mark themselves only", bad_frames_in_batches },
    { "map: nothing but bad frames", all_bad },
    { "map: revalidation clears what went bad", revalidation },
    { "map: a writable page table is refused, a read-only one is not", refused_by_right },
    { "map: no such domain", no_such_domain },
    { "map: reservations of the demand area", reservations },
    { "map: page tables on demand", tables },
    SMOKE_END,
};
