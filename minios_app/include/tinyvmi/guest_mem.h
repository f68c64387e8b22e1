/* SPDX-License-Identifier: MIT */
/*
 * The one interface through which the target's memory is read: views of
 * ranges of guest frames.  A view is a fixed window of consecutive pages; each
 * page shows one gfn, read-only, or is invalid with the reason.
 *
 * Everything seen through a view is hostile and may change between two reads
 * of the same byte: copy a value out once, then check the copy.
 */
#ifndef TINYVMI_GUEST_MEM_H
#define TINYVMI_GUEST_MEM_H

#include <tinyvmi/types.h>

#define GFN_NONE UINT64_MAX /* a page of a view that shows nothing */

struct guest_mem; /* the platform's own */

struct guest_view {
    const uint8_t *base; /* npages consecutive pages; only those with err 0 may be read */
    uint64_t *gfn;       /* [npages] the frame to show; the caller fills it in */
    int *err;            /* [npages] 0, or -errno: why the page is not shown */
    uint32_t npages;
    void *platform; /* the platform's own */
};

/*
 * The number of guest frames to consider: one more than the highest gfn.
 * Negative errno: -TV_EPERM while the privilege is missing, -TV_ESRCH when the
 * target is no more.
 */
int64_t guest_mem_frames(struct guest_mem *gm);

/* False once the target is dying or gone; its views must then be released. */
bool guest_mem_alive(struct guest_mem *gm);

/*
 * Processor time that the target has used, in ns.  -TV_EAGAIN while it is
 * paused, other negative errno if the platform does not know (a memory image).
 */
int64_t guest_mem_cpu_ns(struct guest_mem *gm);

/* Do all of the target's processors wait for an event now?  False, too, if the platform does not know. */
bool guest_mem_waits(struct guest_mem *gm);

/*
 * Which of the `count` frames from `first` on the target's own processors have
 * written since the last call with the same range; a call with another range
 * begins anew, and what it returns of the past means nothing.  Bit I of `bits` (bit
 * I % 8 of byte I / 8) is frame first + I.  Writes through other domains'
 * mappings are not seen.  0; -TV_ENOENT: nothing runs that could write (a
 * memory image); another -errno: the platform does not know, or may not.
 */
int guest_mem_dirty(struct guest_mem *gm, uint64_t first, uint32_t count, uint8_t *bits);

/* Make a window of `npages` pages that show nothing yet.  0 or -TV_ENOMEM. */
int guest_view_reserve(struct guest_mem *gm, struct guest_view *v, uint32_t npages);

/*
 * Show v->gfn[first .. first+n) in the window.  The first mapping and each
 * later revalidation are the same operation: entries are issued again even if
 * the gfn is the same, because the guest can change the frame behind it.  A
 * frame that cannot be mapped marks its own page (v->err) and no other.
 */
void guest_view_map(struct guest_mem *gm, struct guest_view *v, uint32_t first, uint32_t n);

/* Drop all mappings and the window. */
void guest_view_release(struct guest_mem *gm, struct guest_view *v);

/* Copy `n` bytes at byte `offset` of the view; false if any page is invalid or the range is outside. */
bool guest_view_read(const struct guest_view *v, uint64_t offset, void *dst, size_t n);

#endif
