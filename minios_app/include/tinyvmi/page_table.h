/* SPDX-License-Identifier: MIT */
/* x86-64 page tables (Intel SDM volume 3, chapter 4): 4- and 5-level paging. */
#ifndef TINYVMI_PAGE_TABLE_H
#define TINYVMI_PAGE_TABLE_H

#include <tinyvmi/types.h>

#define TV_PTE_PRESENT  (UINT64_C(1) << 0)
#define TV_PTE_WRITABLE (UINT64_C(1) << 1)
#define TV_PTE_ACCESSED (UINT64_C(1) << 5) /* set by the processor in each table for itself */
#define TV_PTE_DIRTY    (UINT64_C(1) << 6)
#define TV_PTE_LARGE    (UINT64_C(1) << 7)
#define TV_PTE_NX       (UINT64_C(1) << 63)
#define TV_PTE_ADDRESS  UINT64_C(0x000ffffffffff000)

#define TV_PT_ENTRIES     512 /* of a table */
#define TV_PT_KERNEL_HALF 256 /* the first entry of a top-level table that belongs to the kernel */
#define TV_PT_XEN_ENTRIES 16  /* from there on: Xen's own in a PV guest's (public/arch-x86/xen-x86_64.h) */

#endif
