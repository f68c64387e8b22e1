/* SPDX-License-Identifier: MIT */
/* Which frames of the kernel's code and constants the target has written, where the hypervisor tracks that. */
#ifndef TINYVMI_TRACKING_H
#define TINYVMI_TRACKING_H

#include <tinyvmi/check.h>

#define TV_TRACKED_MAX 32768 /* frames, 128 MiB: no kernel's code and constants are larger */

struct tv_tracking {
    struct tv_dirty dirty; /* of all answers that no incremental check has had yet */
    bool active;
    bool renewed; /* some of those came while one was running */
    uint64_t wrote_ns; /* when the target was last seen to write to them; 0: never */
    uint32_t touched; /* bit I: the target has written to them since check I was last run in whole */
    uint8_t bits[TV_TRACKED_MAX / 8];
    uint8_t answer[TV_TRACKED_MAX / 8]; /* the last */
};

/* Begin to track the kernel that was found.  0, or why its writes cannot be tracked; -TV_ENOENT: nothing can write. */
int tv_tracking_begin(struct tv_tracking *t, struct tv_kernel *k);

/* No kernel is tracked. */
void tv_tracking_reset(struct tv_tracking *t);

/* Ask what was written since this was asked last.  0, or why that is not known any more. */
int tv_tracking_ask(struct tv_tracking *t, struct tv_kernel *k);

/* When the target was last seen to write, perhaps just now, ns; 0: never, or not known. */
uint64_t tv_tracking_wrote_ns(struct tv_tracking *t, struct tv_kernel *k);

/* Around an incremental check, which takes what is in `dirty`. */
void tv_tracking_take(struct tv_tracking *t);
void tv_tracking_taken(struct tv_tracking *t);

#endif
