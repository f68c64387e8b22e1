/* SPDX-License-Identifier: MIT */
/*
 * Whether the target is there, how large it is, and whether it may be read.
 *
 * In target mode Xen answers all of it.  In FLASK mode the policy may give no
 * more than the right to map the target's frames, and then mappings answer.
 */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>

#include <xen/memory.h>

#include <tinyvmi/platform.h>

#include "../xen/domctl.h"
#include "guest_mem.h"

/* Without an answer from Xen, memory is searched up to 64 GiB, in steps that no kernel image fits between. */
#define BLIND_FRAMES (UINT64_C(1) << 24)
#define BLIND_STEP   (UINT64_C(1) << 12)
#define SEARCH_NS    UINT64_C(1000000000) /* as long the answer holds */
#define ANY_FRAME    0x100 /* for a question to which the frame does not matter */

long domctl_issue(struct domctl *op)
{
    return HYPERVISOR_domctl((unsigned long)op);
}

/* What Xen reports of the target; NULL if it is gone or Xen refuses. */
static const struct domctl *target_info(struct guest_mem *gm)
{
    static struct domctl op;
    long rc = -TV_EACCES;

    memset(&op, 0, sizeof(op));
    if (!gm->no_info)
        rc = domctl(&op, DOMCTL_GETDOMAININFO, gm->target);
    /* Refused by policy, which writes a line in Xen's log each time: not asked again. */
    gm->no_info = rc == -TV_EACCES;
    return rc == 0 && op.u.info.domain == gm->target ? &op : NULL;
}

int guest_mem_try(struct guest_mem *gm, uint64_t gfn)
{
    if (!gm->probe.npages && guest_view_reserve(gm, &gm->probe, 1))
        return -TV_ENOMEM;
    uint32_t shown = gm->shown, refused = gm->refused;
    uint64_t home = gm->home;

    gm->probe.gfn[0] = gfn;
    guest_view_map(gm, &gm->probe, 0, 1);
    gm->shown = shown; /* a question is no sign of life, nor of its end */
    gm->refused = refused;
    gm->home = home;
    return gm->probe.err[0];
}

bool guest_mem_is_refusal(int err)
{
    return err == -TV_EACCES || err == -TV_ESRCH || err == -TV_ENOMEM;
}

/* One more than the highest frame that a sparse search finds, or why none can be mapped. */
static int64_t search_frames(struct guest_mem *gm)
{
    uint64_t top = 0, now = tv_now_ns();

    if (gm->searched_ns && now - gm->searched_ns < SEARCH_NS)
        return (int64_t)gm->searched;
    for (uint64_t gfn = 0; gfn < BLIND_FRAMES; gfn += BLIND_STEP) {
        int err = guest_mem_try(gm, gfn);

        if (guest_mem_is_refusal(err))
            return err;
        if (err == 0)
            top = gfn + BLIND_STEP;
    }
    gm->searched_ns = now;
    gm->searched = top;
    return (int64_t)top;
}

int64_t guest_mem_frames(struct guest_mem *gm)
{
    domid_t target = gm->target;
    long top = gm->blind ? -TV_EACCES : HYPERVISOR_memory_op(XENMEM_maximum_gpfn, &target);
    int64_t frames = top + 1;

    gm->blind = top == -TV_EACCES;
    if (top < 0 && !gm->blind)
        return top;
    if (guest_mem_is_pv(gm))
        frames = 0; /* machine frames are not searched */
    else if (gm->blind)
        frames = search_frames(gm);
    if (frames >= 0)
        gm->was_seen = true;
    return frames;
}

/*
 * A target is gone when Xen knows it no more, or when all of its frames are
 * refused that were wanted, and one that was shown before, too.
 */
static bool alive_by_mappings(struct guest_mem *gm)
{
    bool uncertain = gm->refused && !gm->shown;
    int err = gm->shown ? 0 : guest_mem_try(gm, gm->home ? gm->home : ANY_FRAME);

    gm->shown = gm->refused = 0;
    /* For good: who asks again has wanted no frame meanwhile, and would be answered that it lives. */
    gm->gone = gm->gone || err == -TV_ESRCH || (err && uncertain && gm->home);
    return !gm->gone;
}

bool guest_mem_alive(struct guest_mem *gm)
{
    const struct domctl *op;

    if (gm->blind ? !alive_by_mappings(gm) : guest_mem_frames(gm) < 0)
        return !gm->was_seen;
    op = target_info(gm);
    return !op || !(op->u.info.flags & (DOMINF_DYING | DOMINF_SHUTDOWN));
}

int64_t guest_mem_cpu_ns(struct guest_mem *gm)
{
    return domctl_cpu_ns(target_info(gm));
}

bool guest_mem_waits(struct guest_mem *gm)
{
    return domctl_waits(target_info(gm));
}
