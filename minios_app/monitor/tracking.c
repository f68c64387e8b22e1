/* SPDX-License-Identifier: MIT */
#include "tracking.h"

/* The frames of the kernel's code and constants, which lie side by side. */
static void find_frames(struct tv_dirty *d, const struct tv_kernel *k)
{
    d->first = k->text_pa >> TV_PAGE_SHIFT;
    d->count = (uint32_t)((k->profile->tracked_size + TV_PAGE_SIZE - 1) >> TV_PAGE_SHIFT);
    if (d->count > TV_TRACKED_MAX)
        d->count = 0;
}

void tv_tracking_reset(struct tv_tracking *t)
{
    t->dirty = (struct tv_dirty){ .bits = t->bits };
    t->active = t->renewed = false;
    t->touched = 0;
    t->wrote_ns = 0;
}

int tv_tracking_begin(struct tv_tracking *t, struct tv_kernel *k)
{
    int err = -TV_EOPNOTSUPP;

    tv_tracking_reset(t);
    find_frames(&t->dirty, k);
    /* What the first answer has of the past means nothing: the scan that follows sees it all. */
    if (!k->pv && t->dirty.count)
        err = guest_mem_dirty(k->gm, t->dirty.first, t->dirty.count, t->answer);
    memset(t->bits, 0, sizeof(t->bits));
    t->active = !err;
    return err;
}

static int ask(struct tv_tracking *t, struct tv_kernel *k, bool *any)
{
    uint32_t n = (t->dirty.count + 7) / 8;
    int err = guest_mem_dirty(k->gm, t->dirty.first, t->dirty.count, t->answer);

    *any = false;
    if (err)
        return err;
    for (uint32_t i = 0; i < n; i++) {
        t->bits[i] |= t->answer[i];
        *any = *any || t->answer[i];
    }
    t->dirty.any = t->dirty.any || *any;
    if (*any) {
        t->touched = UINT32_MAX;
        t->wrote_ns = tv_now_ns();
    }
    return 0;
}

int tv_tracking_ask(struct tv_tracking *t, struct tv_kernel *k)
{
    bool any;
    int err = ask(t, k, &any);

    t->active = !err;
    return err;
}

uint64_t tv_tracking_wrote_ns(struct tv_tracking *t, struct tv_kernel *k)
{
    bool any = false;

    if (t->active && !ask(t, k, &any) && any)
        t->renewed = true; /* left to the next incremental check */
    return t->active ? t->wrote_ns : 0;
}

void tv_tracking_take(struct tv_tracking *t)
{
    t->renewed = false;
}

void tv_tracking_taken(struct tv_tracking *t)
{
    if (t->renewed)
        return;
    memset(t->bits, 0, sizeof(t->bits));
    t->dirty.any = false;
}
