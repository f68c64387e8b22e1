/* SPDX-License-Identifier: MIT */
/* What tinyvmi.toml fixed at build time (generated config.c). */
#ifndef TINYVMI_CONFIG_H
#define TINYVMI_CONFIG_H

#include <tinyvmi/types.h>

struct tv_config {
    const char *image_id; /* 16 hex digits: names this image in every run's hello */
    const char *base;     /* the Mini-OS underneath: "built-in" or "mini-os" */
    const char *base_rev; /* which one: a digest in hex, or a tree's commit */
    uint32_t period_ms;   /* from the start of one scan to the next */
    uint32_t jitter_pct;  /* each period varies by up to this much, either way */
    uint32_t heartbeat_ms;
    uint32_t poll_ms;     /* from one incremental check to the next; 0: none between scans */
    uint32_t time_budget_us;    /* work of a scan in one go, before it yields; 0: all of it */
    bool keep_bytes;      /* verified pages are cached, and compared instead of digested */
};

extern const struct tv_config tv_config;

#endif
