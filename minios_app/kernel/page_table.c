/* SPDX-License-Identifier: MIT */
/*
 * Page tables under PV: they are read directly and changed only through Xen.
 * The boot mapping is extended to all memory, then given its protections.
 */
#include <mini-os/errno.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>

#include "internal.h"

pgentry_t *pt_base;
unsigned long *phys_to_machine_mapping;
mmu_update_t mmu_batch[MMU_BATCH];

static unsigned long early_pfn; /* next frame for a table before the page allocator runs */

void tlb_flush_local(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_TLB_FLUSH_LOCAL };

    BUG_ON(HYPERVISOR_mmuext_op(&op, 1, NULL, DOMID_SELF));
}

static pgentry_t *table_alloc(void)
{
    unsigned long va = pages_ready() ? alloc_page() : early_pfn++ << PAGE_SHIFT;

    if (!va)
        return NULL;
    memset((void *)va, 0, PAGE_SIZE);
    /* Xen takes only a frame without a writable mapping for a table. */
    BUG_ON(
        HYPERVISOR_update_va_mapping(va, __pte((virt_to_mfn(va) << PAGE_SHIFT) | L1_PROT_RO), UVMF_INVLPG));
    return (pgentry_t *)va;
}

/* The table below `entry`, made if need be and `make`. */
static pgentry_t *table_below(pgentry_t *entry, bool make)
{
    pgentry_t *table;
    mmu_update_t req;

    if (READ_ONCE(*entry) & _PAGE_PRESENT)
        return pte_to_virt(*entry);
    if (!make)
        return NULL;
    table = table_alloc();
    if (!table)
        return NULL;
    req.ptr = virt_to_mach(entry) | MMU_NORMAL_PT_UPDATE;
    req.val = (virt_to_mfn(table) << PAGE_SHIFT) | TABLE_PROT;
    BUG_ON(HYPERVISOR_mmu_update(&req, 1, NULL, DOMID_SELF));
    return table;
}

static pgentry_t *walk(unsigned long va, bool make)
{
    pgentry_t *table = pt_base;

    table = table_below(&table[l4_table_offset(va)], make);
    if (table)
        table = table_below(&table[l3_table_offset(va)], make);
    if (table)
        table = table_below(&table[l2_table_offset(va)], make);
    return table ? &table[l1_table_offset(va)] : NULL;
}

pgentry_t *get_pgt(unsigned long va)
{
    return walk(va, false);
}

pgentry_t *need_pgt(unsigned long va)
{
    return walk(va, true);
}

pgentry_t pte_read(unsigned long va)
{
    pgentry_t *pte = get_pgt(va);

    return pte ? READ_ONCE(*pte) : 0;
}

static bool is_guard(unsigned long va)
{
    return va == (unsigned long)boot_stack_guard || va == (unsigned long)irq_stack_guard ||
           va == (unsigned long)trap_stack_guard;
}

/* What the entry for `va` of the direct mapping ought to be, given what it is. */
static pgentry_t final_pte(unsigned long va, pgentry_t pte)
{
    if (!va || is_guard(va))
        return 0;
    if (!(pte & _PAGE_PRESENT))
        return (virt_to_mfn(va) << PAGE_SHIFT) | L1_PROT;
    if (va >= (unsigned long)_text && va < (unsigned long)_etext)
        return pte & ~_PAGE_RW;
    if (va < (unsigned long)_erodata)
        return (pte & ~_PAGE_RW) | page_nx;
    return pte | page_nx; /* tables of the boot mapping stay read-only */
}

static void batch_flush(int *n)
{
    if (*n)
        BUG_ON(HYPERVISOR_mmu_update(mmu_batch, *n, NULL, DOMID_SELF));
    *n = 0;
}

void arch_init_mm(unsigned long *start_pfn, unsigned long *max_pfn)
{
    unsigned long va, end;
    pgentry_t *pte = NULL;
    int n = 0;

    *max_pfn = start_info.nr_pages;
    if (*max_pfn > MAX_MEM_SIZE >> PAGE_SHIFT)
        *max_pfn = MAX_MEM_SIZE >> PAGE_SHIFT;
    end = *max_pfn << PAGE_SHIFT;
    early_pfn = virt_to_pfn(pt_base) + start_info.nr_pt_frames;

    /* Tables made on the way lie in memory that an earlier step has mapped. */
    for (va = 0; va < end; va += PAGE_SIZE, pte++) {
        pgentry_t want;

        if (!(va & L1_MASK)) {
            batch_flush(&n);
            pte = need_pgt(va);
            BUG_ON(!pte);
        }
        want = final_pte(va, *pte);
        if (want == *pte)
            continue;
        mmu_batch[n].ptr = virt_to_mach(pte) | MMU_NORMAL_PT_UPDATE;
        mmu_batch[n].val = want;
        if (++n == MMU_BATCH)
            batch_flush(&n);
    }
    batch_flush(&n);
    tlb_flush_local();
    *start_pfn = early_pfn;
}
