/* SPDX-License-Identifier: MIT */
/*
 * The few domctls that a monitor may be allowed; the same for one in a domain of its own and one in dom0.
 * The interface version differs
 * from release to release while these structures do not, so it is probed:
 * 4.14 has 0x13, 4.17 0x15, 4.20 0x17.
 */
#ifndef TINYVMI_XEN_DOMCTL_H
#define TINYVMI_XEN_DOMCTL_H

#include <tinyvmi/types.h>

#define DOMCTL_GETDOMAININFO         5
#define DOMCTL_GETVCPUCONTEXT        13
#define DOMCTL_GETHVMCONTEXT_PARTIAL 55

#define DOMINF_DYING     (1u << 0)
#define DOMINF_HVM_GUEST (1u << 1)
#define DOMINF_SHUTDOWN  (1u << 2)
#define DOMINF_PAUSED    (1u << 3)
#define DOMINF_BLOCKED   (1u << 4) /* every vCPU that is up waits for an event */

struct domctl { /* struct xen_domctl, public/domctl.h */
    uint32_t cmd;
    uint32_t interface_version;
    uint16_t domain;
    uint16_t pad[3];
    union {
        struct { /* struct xen_domctl_getdomaininfo */
            uint16_t domain;
            uint16_t pad1;
            uint32_t flags;
            uint64_t tot_pages, max_pages, outstanding_pages, shr_pages, paged_pages;
            uint64_t shared_info_frame;
            uint64_t cpu_time;
            uint32_t nr_online_vcpus;
            uint32_t max_vcpu_id;
        } info;
        struct { /* struct xen_domctl_vcpucontext */
            uint32_t vcpu;
            uint32_t pad;
            uint64_t buffer;
        } vcpu;
        struct { /* struct xen_domctl_hvmcontext_partial */
            uint32_t type;
            uint32_t instance;
            uint64_t size;
            uint64_t buffer;
        } hvm;
        uint64_t room[16];
    } u;
};
_Static_assert(sizeof(struct domctl) == 144, "xen_domctl is 144 bytes");

/* Issue `op` about domain `target` with the version that this Xen takes.  0 or Xen's -errno. */
long domctl(struct domctl *op, uint32_t cmd, uint16_t target);

/*
 * Of an answer to DOMCTL_GETDOMAININFO, or NULL for none: guest_mem_cpu_ns() and guest_mem_waits() (guest_mem.h).
 */
int64_t domctl_cpu_ns(const struct domctl *op);
bool domctl_waits(const struct domctl *op);

/* The platform's: the hypercall itself.  0 or Xen's -errno. */
long domctl_issue(struct domctl *op);

#endif
