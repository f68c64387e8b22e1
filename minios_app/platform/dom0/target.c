/* SPDX-License-Identifier: MIT */
/* Whether the target is there, how large it is, and how long it has run: asked of Xen through /dev/xen/privcmd. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <xen/memory.h>
#include <xen/xen.h>
#include <xendevicemodel.h>

#include "../xen/domctl.h"
#include "guest_mem.h"

static xencall_handle *calls;
static xendevicemodel_handle *devices;
static struct { /* memory that Xen may read and write during a hypercall */
    struct domctl op;
    domid_t domain;
} *shared;

int guest_mem_open(struct guest_mem *gm)
{
    errno = 0;
    gm->memory = xenforeignmemory_open(NULL, 0);
    if (gm->memory)
        calls = xencall_open(NULL, 0);
    if (calls)
        devices = xendevicemodel_open(NULL, 0);
    if (devices)
        shared = xencall_alloc_buffer(calls, sizeof(*shared));
    return shared ? 0 : errno ? -errno : -ENODEV;
}

void guest_mem_close(struct guest_mem *gm)
{
    if (shared)
        xencall_free_buffer(calls, shared);
    if (devices)
        xendevicemodel_close(devices);
    if (calls)
        xencall_close(calls);
    if (gm->memory)
        xenforeignmemory_close(gm->memory);
}

long domctl_issue(struct domctl *op)
{
    long rc;

    shared->op = *op;
    rc = xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)&shared->op);
    *op = shared->op;
    return rc < 0 ? -errno : rc;
}

/* What Xen reports of the target; NULL if it is gone. */
static const struct domctl *target_info(const struct guest_mem *gm)
{
    static struct domctl op;

    memset(&op, 0, sizeof(op));
    /* Xen answers for the next domain if there is none of this number. */
    return domctl(&op, DOMCTL_GETDOMAININFO, gm->target) || op.u.info.domain != gm->target ? NULL : &op;
}

const char *guest_mem_unfit(struct guest_mem *gm)
{
    const struct domctl *op = target_info(gm);

    if (!op)
        return "there is no such domain, or Xen does not tell this one about it";
    return op->u.info.flags & DOMINF_HVM_GUEST ? NULL : "a PV guest is not judged from dom0";
}

/* As platform/minios/dirty.c; Xen keeps one range for a domain, so that only one may ask. */
int guest_mem_dirty(struct guest_mem *gm, uint64_t first, uint32_t count, uint8_t *bits)
{
    memset(bits, 0, (count + 7) / 8);
    return xendevicemodel_track_dirty_vram(devices, gm->target, first, count, (unsigned long *)(void *)bits)
               ? -errno
               : 0;
}

int64_t guest_mem_frames(struct guest_mem *gm)
{
    long top;

    shared->domain = gm->target;
    top = xencall2L(calls, __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, (uintptr_t)&shared->domain);
    if (top < 0)
        return -errno;
    gm->was_seen = true;
    return (int64_t)top + 1;
}

bool guest_mem_alive(struct guest_mem *gm)
{
    const struct domctl *op = target_info(gm);

    if (!op)
        return !gm->was_seen;
    return !(op->u.info.flags & (DOMINF_DYING | DOMINF_SHUTDOWN));
}

int64_t guest_mem_cpu_ns(struct guest_mem *gm)
{
    return domctl_cpu_ns(target_info(gm));
}

bool guest_mem_waits(struct guest_mem *gm)
{
    return domctl_waits(target_info(gm));
}
