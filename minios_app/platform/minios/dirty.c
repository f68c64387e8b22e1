/* SPDX-License-Identifier: MIT */
/*
 * Which frames the target's processors have written: XEN_DMOP_track_dirty_vram
 * (public/hvm/dm_op.h), which a monitor in target mode may ask of its target.
 * Xen has one range for a domain, reports what was written since it was asked
 * last, and writes nothing that the target can reach.
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>

#include <tinyvmi/platform.h>

#include "guest_mem.h"

/* Not in the headers of every Mini-OS tree that this builds on. */
#define DM_OP            41
#define TRACK_DIRTY_VRAM 7
#define DM_OP_SIZE       64 /* no less than any Xen's struct xen_dm_op: a buffer that is longer is allowed */

struct dm_op {
    uint32_t op, pad;
    uint32_t nr, nr_pad;
    uint64_t first_pfn;
    uint8_t rest[DM_OP_SIZE - 24];
};

struct dm_op_buf {
    void *data;
    unsigned long size;
};

int guest_mem_dirty(struct guest_mem *gm, uint64_t first, uint32_t count, uint8_t *bits)
{
    static struct dm_op op;
    struct dm_op_buf buffers[2] = { { &op, sizeof(op) }, { bits, (count + 7) / 8 } };
    multicall_entry_t call = { .op = DM_OP, .args = { gm->target, 2, (unsigned long)buffers } };

    if (guest_mem_is_pv(gm))
        return -TV_EOPNOTSUPP;
    op = (struct dm_op){ .op = TRACK_DIRTY_VRAM, .nr = count, .first_pfn = first };
    memset(bits, 0, (count + 7) / 8);
    if (HYPERVISOR_multicall(&call, 1))
        return -TV_EOPNOTSUPP;
    return (int)(long)call.result;
}
