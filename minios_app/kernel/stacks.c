/* SPDX-License-Identifier: MIT */
/* Stacks of threads: slots of the kernel area, each half guard and half stack. */
#include <mini-os/lib.h>
#include <mini-os/mm.h>

#include "internal.h"

#define MAX_STACKS 64
#define SLOT_SIZE  (2 * STACK_SIZE)

static uint64_t slots_in_use;

unsigned long stack_alloc(void)
{
    unsigned long mfns[1UL << STACK_SIZE_PAGE_ORDER];
    unsigned long stack, pages;
    int slot;

    if (slots_in_use == UINT64_MAX)
        return 0;
    slot = __builtin_ctzll(~slots_in_use);
    BUILD_BUG_ON(MAX_STACKS != sizeof(slots_in_use) * 8);
    pages = alloc_pages(STACK_SIZE_PAGE_ORDER);
    if (!pages)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(mfns); i++)
        mfns[i] = virt_to_mfn(pages + i * PAGE_SIZE);
    stack = VIRT_KERNEL_AREA + (unsigned long)slot * SLOT_SIZE + STACK_SIZE;
    if (do_map_frames(stack, mfns, ARRAY_SIZE(mfns), 1, 0, DOMID_SELF, NULL, L1_PROT)) {
        unmap_frames(stack, ARRAY_SIZE(mfns));
        free_pages((void *)pages, STACK_SIZE_PAGE_ORDER);
        return 0;
    }
    slots_in_use |= 1ULL << slot;
    return stack;
}

void stack_free(unsigned long stack)
{
    unsigned long pages = (unsigned long)mfn_to_virt(pte_to_mfn(pte_read(stack)));

    BUG_ON(unmap_frames(stack, STACK_SIZE >> PAGE_SHIFT));
    free_pages((void *)pages, STACK_SIZE_PAGE_ORDER);
    slots_in_use &= ~(1ULL << ((stack - VIRT_KERNEL_AREA) / SLOT_SIZE));
}
