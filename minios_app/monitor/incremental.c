/* SPDX-License-Identifier: MIT */
/*
 * Between two scans.  Where the hypervisor tells which frames the target has
 * written, those are judged at every look; a check that cannot be told so, or
 * that found something, is run again as often as its cost allows.
 */
#include <tinyvmi/config.h>
#include <tinyvmi/cost.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "scan.h"

#define MS UINT64_C(1000000)
#define FRAMES_MAX 32768 /* 128 MiB: no kernel's code and constants are larger */

#define AGAIN_NS     (1000 * MS) /* a check is not run again sooner than this … */
#define SHARE        100         /* … nor than so many times what it costs: a hundredth of a processor */
#define SHARE_IF_BAD 10

static uint8_t fresh[FRAMES_MAX / 8]; /* the last answer */
static uint8_t bits[FRAMES_MAX / 8];  /* all answers that no look has judged yet */
static struct tv_dirty dirty = { .bits = bits };
static bool tracked;
static bool renewed; /* some of those came while a look judged */
static uint32_t touched; /* bit I: the target has written to those frames since check I was last run in whole */
static uint64_t looked_ns;
static uint64_t wrote_ns; /* when the target was last seen to write to them */

/* The frames of the kernel's code and constants, which lie side by side. */
static void find_frames(const struct tv_kernel *k)
{
    const struct tv_kernel_profile *p = k->profile;

    dirty.first = k->text_pa >> TV_PAGE_SHIFT;
    dirty.count = (uint32_t)((p->tracked_size + TV_PAGE_SIZE - 1) >> TV_PAGE_SHIFT);
    if (dirty.count > FRAMES_MAX)
        dirty.count = 0;
}

static void say(const struct tv_kernel *k, int err)
{
    tv_rec_begin("tracking");
    tv_rec_uint("frames", tracked ? dirty.count : 0);
    if (!tracked)
        tv_rec_str("reason", k->pv                 ? "Xen tracks no PV guest"
                             : err == -TV_EACCES || err == -TV_EPERM ? "the hypervisor does not allow it"
                             : !dirty.count        ? "the kernel has no profile of its code"
                                                   : "the hypervisor cannot do it for this target");
    tv_rec_end();
}

void tv_look_attach(struct tv_kernel *k)
{
    int err = -TV_EOPNOTSUPP;

    tracked = false;
    touched = 0;
    wrote_ns = 0;
    if (!tv_config.poll_ms)
        return;
    find_frames(k);
    /* What the first answer says of the past is nothing: the scan that follows sees it all. */
    if (!k->pv && dirty.count)
        err = guest_mem_dirty(k->gm, dirty.first, dirty.count, fresh);
    memset(bits, 0, sizeof(bits));
    dirty.any = false;
    tracked = !err;
    if (err != -TV_ENOENT)
        say(k, err);
    looked_ns = tv_now_ns();
}

uint64_t tv_look_due(void)
{
    return tv_config.poll_ms ? looked_ns + tv_config.poll_ms * MS : UINT64_MAX;
}

/* Ask what was written since this was asked last.  0, or why it is not told. */
static int ask(struct tv_kernel *k, bool *any)
{
    uint32_t n = (dirty.count + 7) / 8;
    int err = guest_mem_dirty(k->gm, dirty.first, dirty.count, fresh);

    *any = false;
    if (err)
        return err;
    for (uint32_t i = 0; i < n; i++) {
        bits[i] |= fresh[i];
        *any = *any || fresh[i];
    }
    dirty.any = dirty.any || *any;
    if (*any) {
        touched = UINT32_MAX;
        wrote_ns = tv_now_ns();
    }
    return 0;
}

uint64_t tv_look_wrote_ns(struct tv_kernel *k)
{
    bool any = false;

    if (tracked && !ask(k, &any) && any)
        renewed = true; /* kept for the next look */
    return tracked ? wrote_ns : 0;
}

/* What is wrong may have been put right, or be worse, once the target has written again: soon, then. */
static bool is_due(uint32_t i)
{
    const struct tv_standing *s = tv_scan_standing(i);
    uint64_t share = tv_checks[i]->look && touched >> i & 1 ? 1 : SHARE_IF_BAD;
    uint64_t pause = s->cost_ns * (s->verdict == TV_INTACT ? SHARE : share);

    return tv_now_ns() - s->ended_ns >= (pause > AGAIN_NS ? pause : AGAIN_NS);
}

enum tv_scan_end tv_look(struct tv_kernel *k, uint32_t number, bool scanning)
{
    enum tv_scan_end end = TV_SCAN_DONE;
    bool any;
    int err;

    looked_ns = tv_now_ns();
    if (!guest_mem_alive(k->gm))
        return TV_SCAN_GONE;
    tv_pt_cache_flush(k);
    err = tracked ? ask(k, &any) : 0;
    if (tracked)
        tv_cost_note(number, "tracking", tv_now_ns() - looked_ns, true);
    if (err) {
        tracked = false;
        say(k, err);
    }
    renewed = false;
    for (uint32_t i = 0; i < tv_check_count && end == TV_SCAN_DONE; i++) {
        bool told = tracked && tv_checks[i]->look && tv_scan_standing(i)->verdict == TV_INTACT;

        if (told) {
            end = tv_scan_check(k, i, number, &dirty);
        } else if (!scanning && is_due(i)) {
            touched &= ~(UINT32_C(1) << i);
            end = tv_scan_check(k, i, number, NULL);
        }
    }
    if (!renewed) {
        memset(bits, 0, sizeof(bits));
        dirty.any = false;
    }
    tv_cost_note(number, "incremental", tv_now_ns() - looked_ns, true);
    if (!scanning)
        tv_cost_tell();
    return end;
}
