/* SPDX-License-Identifier: MIT */
/* The scan loop: the same on Mini-OS and on a memory image. */
#ifndef TINYVMI_MONITOR_H
#define TINYVMI_MONITOR_H

#include <tinyvmi/check.h>

struct tv_run {
    const char *nonce;     /* names this run in the hello */
    uint32_t target;       /* domid, or 0 for a memory image */
    uint32_t period_ms;
    uint32_t jitter_pct;
    uint32_t heartbeat_ms;
    uint32_t scans;        /* 0: until the target is gone */
    uint32_t patience_ms;  /* how long to wait for the privilege */
};

/* Say hello, scan, say bye.  The worst verdict of all scans. */
enum tv_verdict tv_monitor(struct guest_mem *gm, const struct tv_run *run);

#endif
