/* SPDX-License-Identifier: MIT */
/* A run of the monitor: the same on Mini-OS, in dom0 and over a memory image. */
#ifndef TINYVMI_MONITOR_H
#define TINYVMI_MONITOR_H

#include <tinyvmi/check.h>
#include <tinyvmi/record.h>

struct tv_run {
    const char *nonce;     /* names this run in the hello */
    uint32_t target;       /* domid, or 0 for a memory image */
    uint32_t period_ms;
    uint32_t jitter_pct;
    uint32_t heartbeat_ms;
    uint32_t scans;        /* 0: until the target is gone */
    uint32_t privilege_timeout_ms; /* how long to wait for the privilege */
    bool costs;            /* measure and report what checks cost */
    struct tv_sink sink;   /* where records go */
};

struct monitor; /* monitor/monitor.h; the caller gives the memory, whatever is in it */

/* Say hello, scan, say bye.  The worst verdict of all scans. */
enum tv_verdict tv_monitor(struct monitor *m, struct guest_mem *gm, const struct tv_run *run);

#endif
