/* SPDX-License-Identifier: MIT */
/* Whether the target is there, how large it is, and whether we may look. */
#include <mini-os/os.h>
#include <mini-os/hypervisor.h>

#include <xen/memory.h>

#include "guest_mem.h"

/*
 * XEN_DOMCTL_getdomaininfo, the one domctl that set_target opens to the monitor
 * (xen/include/xsm/dummy.h).  The interface version differs from release to
 * release while these fields do not, so it is probed: 4.14 has 0x13, 4.20 0x17.
 */
#define DOMCTL_GETDOMAININFO 5
#define DOMINF_DYING    (1u << 0)
#define DOMINF_SHUTDOWN (1u << 2)
#define DOMINF_PAUSED   (1u << 3)

struct domctl { /* struct xen_domctl, public/domctl.h */
    uint32_t cmd;
    uint32_t interface_version;
    uint16_t domain;
    uint16_t pad[3];
    struct {
        uint16_t domain;
        uint16_t pad;
        uint32_t flags;
        uint64_t pages[6]; /* tot, max, outstanding, shr, paged, then shared_info_frame */
        uint64_t cpu_time; /* ns */
        uint64_t rest[8];
    } info;
};
_Static_assert(sizeof(struct domctl) == 144, "xen_domctl is 144 bytes");

/* What Xen says of the target; NULL if it is gone or Xen does not say. */
static const struct domctl *target_info(domid_t target)
{
    static uint32_t version; /* the one that Xen accepted */
    static struct domctl op;

    for (uint32_t v = version ? version : 0x12; v <= (version ? version : 0x1f); v++) {
        memset(&op, 0, sizeof(op));
        op.cmd = DOMCTL_GETDOMAININFO;
        op.interface_version = v;
        op.domain = target;
        if (HYPERVISOR_domctl((unsigned long)&op) == 0) {
            version = v;
            return op.info.domain == target ? &op : NULL;
        }
    }
    return NULL;
}

int64_t guest_mem_frames(struct guest_mem *gm)
{
    domid_t target = gm->target;
    long top = HYPERVISOR_memory_op(XENMEM_maximum_gpfn, &target);

    if (top >= 0)
        gm->was_seen = true;
    return top >= 0 ? top + 1 : top;
}

bool guest_mem_alive(struct guest_mem *gm)
{
    int64_t frames = guest_mem_frames(gm);
    const struct domctl *op;

    if (frames < 0)
        return !gm->was_seen;
    op = target_info(gm->target);
    return !op || !(op->info.flags & (DOMINF_DYING | DOMINF_SHUTDOWN));
}

int64_t guest_mem_cpu_ns(struct guest_mem *gm)
{
    const struct domctl *op = target_info(gm->target);

    if (!op)
        return -TV_ESRCH;
    return op->info.flags & DOMINF_PAUSED ? -TV_EAGAIN : (int64_t)op->info.cpu_time;
}
