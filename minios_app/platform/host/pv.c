/* SPDX-License-Identifier: MIT */
/* Memory images of PV guests cannot be checked yet: dump/elf.py refuses them by name. */
#include <tinyvmi/guest_pv.h>

int guest_pv_candidates(struct guest_mem *gm, uint64_t pfn, uint64_t *mfn, uint32_t room)
{
    (void)gm;
    (void)pfn;
    (void)mfn;
    (void)room;
    return -TV_EOPNOTSUPP;
}

uint64_t guest_pv_pfn(struct guest_mem *gm, uint64_t mfn)
{
    (void)gm;
    (void)mfn;
    return GFN_NONE;
}
