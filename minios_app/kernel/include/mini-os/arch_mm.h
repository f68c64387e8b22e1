/* SPDX-License-Identifier: MIT */
/*
 * Address space (all of it mapped with 4 KiB pages):
 *
 *   0                  nothing: NULL
 *   0x1000             text, read-only data, data, bss; then what Xen's domain builder placed (frame list,
 *                      start info, rings, page tables); then all other memory.  Virtual = pseudo-physical.
 *   VIRT_KERNEL_AREA   stacks of threads, each above an unmapped guard page
 *   VIRT_DEMAND_AREA   foreign frames and whatever allocate_ondemand() gives out
 */
#ifndef MINIOS_ARCH_MM_H
#define MINIOS_ARCH_MM_H

#define PAGE_SHIFT 12

#ifndef __ASSEMBLY__

#include <mini-os/types.h>
#include <xen/xen.h>

#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))

#define VIRT_KERNEL_AREA 0x0000008000000000UL
#define VIRT_DEMAND_AREA 0x0000100000000000UL
#define DEMAND_MAP_PAGES 0x8000000UL
#define MAX_MEM_SIZE     (512UL << 30)

#define L1_FRAME 1
#define L2_FRAME 2
#define L3_FRAME 3

#define L1_PAGETABLE_SHIFT   12
#define L2_PAGETABLE_SHIFT   21
#define L3_PAGETABLE_SHIFT   30
#define L4_PAGETABLE_SHIFT   39
#define L1_PAGETABLE_ENTRIES 512

#define L1_MASK ((1UL << L2_PAGETABLE_SHIFT) - 1)

#define PADDR_BITS 52
#define PADDR_MASK ((1UL << PADDR_BITS) - 1)

typedef unsigned long pgentry_t;
typedef unsigned long paddr_t;
typedef unsigned long maddr_t;

#define l1_table_offset(a) (((a) >> L1_PAGETABLE_SHIFT) & (L1_PAGETABLE_ENTRIES - 1))
#define l2_table_offset(a) (((a) >> L2_PAGETABLE_SHIFT) & (L1_PAGETABLE_ENTRIES - 1))
#define l3_table_offset(a) (((a) >> L3_PAGETABLE_SHIFT) & (L1_PAGETABLE_ENTRIES - 1))
#define l4_table_offset(a) (((a) >> L4_PAGETABLE_SHIFT) & (L1_PAGETABLE_ENTRIES - 1))

#define _PAGE_PRESENT  0x001UL
#define _PAGE_RW       0x002UL
#define _PAGE_USER     0x004UL
#define _PAGE_ACCESSED 0x020UL
#define _PAGE_DIRTY    0x040UL
#define _PAGE_NX       (1UL << 63)

/*
 * A 64-bit PV kernel runs in ring 3, so its pages carry the user bit.
 * L1_PROT and L1_PROT_RO are never executable on a processor that has NX.
 */
extern unsigned long page_nx; /* _PAGE_NX or 0 */
#define L1_PROT    (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_USER | page_nx)
#define L1_PROT_RO (_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_USER | page_nx)
#define L1_PROT_RX (_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_USER)
#define TABLE_PROT (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_USER)

#define PFN_UP(x)   (((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x) ((x) >> PAGE_SHIFT)
#define PFN_PHYS(x) ((uint64_t)(x) << PAGE_SHIFT)

extern pgentry_t *pt_base;                     /* the top-level table */
extern unsigned long *phys_to_machine_mapping; /* mfn of each pfn */

static inline unsigned long pfn_to_mfn(unsigned long pfn)
{
    return phys_to_machine_mapping[pfn];
}

/* Only for a frame of this domain. */
static inline unsigned long mfn_to_pfn(unsigned long mfn)
{
    return machine_to_phys_mapping[mfn];
}

/* Virtual = pseudo-physical, outside the kernel and demand areas. */
#define to_phys(x) ((unsigned long)(x))
#define to_virt(x) ((void *)(x))

#define virt_to_pfn(v)  PFN_DOWN(to_phys(v))
#define virt_to_mfn(v)  pfn_to_mfn(virt_to_pfn(v))
#define virt_to_mach(v) ((maddr_t)((virt_to_mfn(v) << PAGE_SHIFT) | (to_phys(v) & ~PAGE_MASK)))
#define pfn_to_virt(p)  to_virt((p) << PAGE_SHIFT)
#define mfn_to_virt(m)  to_virt(mfn_to_pfn(m) << PAGE_SHIFT)

#define pte_to_mfn(pte)  (((pte) & (PADDR_MASK & PAGE_MASK)) >> PAGE_SHIFT)
#define pte_to_virt(pte) mfn_to_virt(pte_to_mfn(pte))

/* The L1 entry of `va` (readable, not writable: Xen keeps page tables), or NULL without a table. */
pgentry_t *get_pgt(unsigned long va);

/* The same, with tables made as needed; NULL without memory. */
pgentry_t *need_pgt(unsigned long va);

void arch_init_mm(unsigned long *start_pfn, unsigned long *max_pfn);

#endif /* __ASSEMBLY__ */
#endif
