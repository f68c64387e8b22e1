/* SPDX-License-Identifier: MIT */
/*
 * PV targets on Xen.  The machine-to-physical table is open to every PV domain
 * for reading (public/arch-x86/xen-x86_64.h), so that a monitor needs no right
 * beyond mapping; shared_info, which needs more, could only repeat it.
 *
 * Frames are not guessed: a mapping of one that is not the target's is a line
 * in Xen's log.
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>

#include <xen/memory.h>

#include <tinyvmi/guest_pv.h>

#include "../xen/domctl.h"
#include "guest_mem.h"

/* The table comes in parts of 2 MiB, which stand for 1 GiB of memory each. */
#define PART_ENTRIES (UINT64_C(1) << 18)
#define PARTS_MAX    4096 /* 4 TiB of memory are searched */

static const volatile uint64_t *const m2p = (const volatile uint64_t *)MACH2PHYS_VIRT_START;
static uint64_t part[PARTS_MAX]; /* machine frame of each; one that repeats the last stands for a hole */
static uint32_t parts;

static void find_parts(void)
{
    struct xen_machphys_mfn_list list = { .max_extents = PARTS_MAX };

    if (parts)
        return;
    set_xen_guest_handle(list.extent_start, part);
    if (HYPERVISOR_memory_op(XENMEM_machphys_mfn_list, &list) == 0)
        parts = list.nr_extents < PARTS_MAX ? list.nr_extents : PARTS_MAX;
}

static bool is_hole(uint64_t i)
{
    return i && part[i] == part[i - 1];
}

/* Xen's answer where it may be asked; else a PVH or HVM guest has memory at these frames, and a PV guest not. */
bool guest_mem_is_pv(struct guest_mem *gm)
{
    static const uint16_t low[] = { 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x1800 };
    struct domctl op = { 0 };
    uint32_t there = 0;

    if (gm->kind != KIND_UNKNOWN)
        return gm->kind == KIND_PV;
    if (!gm->no_info) {
        long rc = domctl(&op, DOMCTL_GETDOMAININFO, gm->target);

        gm->no_info = rc == -TV_EACCES;
        if (rc == 0 && op.u.info.domain == gm->target) {
            gm->kind = op.u.info.flags & DOMINF_HVM_GUEST ? KIND_HVM : KIND_PV;
            return gm->kind == KIND_PV;
        }
    }
    for (uint32_t i = 0; i < TV_ARRAY_SIZE(low); i++) {
        int err = guest_mem_try(gm, low[i]);

        if (guest_mem_is_refusal(err))
            return false; /* not known yet */
        there += err == 0;
    }
    gm->kind = there > TV_ARRAY_SIZE(low) / 2 ? KIND_HVM : KIND_PV;
    return gm->kind == KIND_PV;
}

int guest_pv_candidates(struct guest_mem *gm, uint64_t pfn, uint64_t *mfn, uint32_t room)
{
    uint32_t n = 0;

    if (!guest_mem_is_pv(gm))
        return -TV_EOPNOTSUPP;
    find_parts();
    for (uint64_t i = 0; i < parts; i++) {
        if (is_hole(i))
            continue;
        for (uint64_t at = i * PART_ENTRIES; at < (i + 1) * PART_ENTRIES && n < room; at++)
            if (m2p[at] == pfn)
                mfn[n++] = at;
    }
    return (int)n;
}

uint64_t guest_pv_pfn(struct guest_mem *gm, uint64_t mfn)
{
    (void)gm;
    find_parts();
    if (mfn / PART_ENTRIES >= parts || is_hole(mfn / PART_ENTRIES))
        return GFN_NONE;
    return m2p[mfn];
}
