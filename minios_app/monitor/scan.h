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

/* One check, and what became of it when it was run last. */
struct tv_standing {
    enum tv_verdict verdict;
    uint64_t ended_ns, cost_ns;
    uint64_t judged_ns;   /* when it was run or looked last */
    uint64_t patience_ns; /* spent on places that the target is just patching; it comes back slowly */
};
const struct tv_standing *tv_scan_standing(uint32_t check);

/* The worst of all checks as they stand. */
enum tv_verdict tv_scan_verdict(void);

/* Run check number `i`, or with `dirty` only look at what may have changed; report what is new. */
enum tv_scan_end tv_scan_check(struct tv_kernel *k, uint32_t i, uint32_t number, const struct tv_dirty *dirty);

/* look.c: begin to track what the target writes, of the kernel that was found; say how it goes. */
void tv_look_attach(struct tv_kernel *k);

/* When the next look is due, ns; UINT64_MAX: never. */
uint64_t tv_look_due(void);

/*
 * Between two scans, or in one that rests (`scanning`): judge what the target
 * has written, and run the checks again that are cheap or have something to
 * tell.  TV_SCAN_GONE: the kernel is no longer there.
 */
enum tv_scan_end tv_look(struct tv_kernel *k, uint32_t number, bool scanning);

/* When the target was last seen to write to its code or constants, ns; 0: never, or nobody can tell. */
uint64_t tv_look_wrote_ns(struct tv_kernel *k);

/* pace.c */
void tv_pace_reset(void);
void tv_pace_begin(uint64_t period_ns);
void tv_pace_end(void);
/* From here on do not rest, until tv_pace_resume() with what this returned. */
bool tv_pace_hurry(void);
void tv_pace_resume(bool rests);

/* loop.c: sleep until `until`, with signs of life and looks in between. */
void tv_sleep_looking(struct tv_kernel *k, uint64_t until);

/* A sign of life, if the last is a heartbeat's time ago: for the long ways (loop.c). */
void tv_beat_if_due(void);

#endif
