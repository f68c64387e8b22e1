/* SPDX-License-Identifier: MIT */
/*
 * What is known of the pages of a range from earlier scans and, with
 * `golden.comparison = "bytes"`, copies of them.
 *
 * A copy is taken before a page is judged and is what is judged, so that what
 * is kept as right is exactly what was found right.  A later scan compares the
 * target's page with it, each word read once, straight from the mapping: no
 * digest, no copy.  A page is judged together with some bytes of its
 * neighbours, so a page that has changed makes its neighbours uncertain, too.
 */
#ifndef CHECKS_KEPT_H
#define CHECKS_KEPT_H

#include <tinyvmi/check.h>

#define TV_KEPT_HAVE 1 /* there is a copy */
#define TV_KEPT_GOOD 2 /* and it, with its neighbours, was right */
#define TV_KEPT_ASKS 4 /* what is right in it depends on more of the target than the check compares */
#define TV_KEPT_LOOK 8 /* tv_kept_revisit(): look at it now */

struct tv_kept {
    uint8_t *flags;  /* [npages] TV_KEPT_* */
    uint8_t **block; /* copies of TV_KEPT_BLOCK pages each; NULL: none are kept */
    uint32_t npages;
    uint32_t turn;   /* of tv_kept_revisit() */
    bool strays;     /* some page led to a frame that is not tracked when this was asked last */
    bool tried;      /* to get memory for copies */
};

/* Memory for what is known of `npages` pages.  0 or -TV_ENOMEM. */
int tv_kept_open(struct tv_kept *s, uint32_t npages);

/*
 * Are copies kept?  The first call, in the first scan, when every check has
 * the memory that it cannot do without, asks for theirs.  False: they are not
 * configured, or too little would be left; the pages are then digested.
 */
bool tv_kept_ready(struct tv_kept *s);
void tv_kept_close(struct tv_kept *s);

/* `npages` pages are digested because not even what is known of them could be kept: for tv_kept_tell() (check.h). */
void tv_kept_lack(uint32_t npages);

/* Nothing is known to be right any more. */
void tv_kept_doubt(struct tv_kept *s);

/* Bring copy `i` up to what the view shows at its page `at`.  False, and there is no copy, if it shows nothing. */
bool tv_kept_look(struct tv_kept *s, uint32_t i, const struct guest_view *v, uint32_t at);

/* The same of pages `first` to `end`, which the view shows at the same numbers; told as reading (cost.h). */
void tv_kept_look_part(struct tv_kept *s, const struct guest_view *v, uint32_t first, uint32_t end);

/* And of those that a look is for (tv_kept_next()). */
void tv_kept_look_marked(struct tv_kept *s, const struct guest_view *v);

/* Copy `i`, or NULL. */
const uint8_t *tv_kept_page(const struct tv_kept *s, uint32_t i);

/*
 * Between two scans: walk the page tables again and mark with TV_KEPT_LOOK the
 * pages that the target has written, that were not right, that lead to another
 * frame or to one that is not tracked, and, if there are copies, those whose
 * turn it is: all of them within TV_KEPT_TURNS calls.  Those pages are mapped
 * anew.  Are there any?
 */
#define TV_KEPT_TURNS 100
bool tv_kept_revisit(struct tv_kept *s, struct tv_kernel *k, struct tv_range *r, const struct tv_dirty *dirty);

/* The first page from `i` on that is marked so; npages: none. */
uint32_t tv_kept_next(const struct tv_kept *s, uint32_t i);

#endif
