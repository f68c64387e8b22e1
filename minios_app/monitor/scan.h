/* SPDX-License-Identifier: MIT */
/* One pass over all checks of the image, and the records about it. */
#ifndef TINYVMI_SCAN_H
#define TINYVMI_SCAN_H

#include <tinyvmi/check.h>

/* Reserve what the checks need for the kernel that was found.  0 or -TV_ENOMEM. */
int tv_scan_attach(struct tv_kernel *k);
void tv_scan_detach(struct tv_kernel *k);

enum tv_scan_end {
    TV_SCAN_DONE,
    TV_SCAN_GONE,     /* what was found is void: the kernel or the target is no longer there */
    TV_SCAN_ARRIVING, /* void: the target's memory is still being filled */
};

/* Run every check; report what is new.  *verdict becomes the worst. */
enum tv_scan_end tv_scan(struct tv_kernel *k, uint32_t number, enum tv_verdict *verdict);

/* A sign of life, if the last is a heartbeat's time ago: for the long ways (loop.c). */
void tv_beat_if_due(void);

#endif
