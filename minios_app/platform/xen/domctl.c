/* SPDX-License-Identifier: MIT */
#include "domctl.h"

#define OLDEST_VERSION 0x12
#define NEWEST_VERSION 0x1f

/*
 * Xen answers EACCES to a version that is not its own, and also when its policy
 * refuses, which it asks after the version.  So a version is only known
 * once something succeeded or was refused otherwise; until then all are tried.
 */
long domctl(struct domctl *op, uint32_t cmd, uint16_t target)
{
    static uint32_t version;
    uint32_t first = version ? version : OLDEST_VERSION, last = version ? version : NEWEST_VERSION;
    struct domctl asked = *op;
    long rc = -TV_EPERM;

    for (uint32_t v = first; v <= last; v++) {
        *op = asked;
        op->cmd = cmd;
        op->interface_version = v;
        op->domain = target;
        rc = domctl_issue(op);
        if (rc != -TV_EACCES) {
            if (rc == 0)
                version = v;
            return rc;
        }
    }
    return rc;
}

int64_t domctl_cpu_ns(const struct domctl *op)
{
    if (!op)
        return -TV_ESRCH;
    return op->u.info.flags & DOMINF_PAUSED ? -TV_EAGAIN : (int64_t)op->u.info.cpu_time;
}

bool domctl_waits(const struct domctl *op)
{
    return op && (op->u.info.flags & (DOMINF_BLOCKED | DOMINF_PAUSED)) == DOMINF_BLOCKED;
}
