/* SPDX-License-Identifier: MIT */
/*
 * Kernel discovery from memory alone: no register of the target is read.  All
 * of memory is probed before anything is taken, because a kernel image in
 * the page cache or one that an earlier boot left may lie before the real one.
 */
#include <tinyvmi/platform.h>

#include "internal.h"

#define MS        UINT64_C(1000000)
#define WATCH_NS  (1000 * MS) /* for a clock to move, before a target that seems to sleep is taken as it is */
#define WORKED_NS (500 * MS) /* as in liveness.c */

/* Add a hit to the candidates if it is a kernel.  False: there is no room for more. */
static bool add_hit(struct tv_kernel *k, uint32_t profile_index, uint64_t pa)
{
    struct tv_search *s = &k->search;
    struct tv_candidate c = { .profile_index = profile_index };

    if (!tv_candidate_at(k, tv_profiles[profile_index], pa, &c))
        return true;
    if (s->count == TV_CANDIDATES)
        return false;
    tv_clock_read(k, c.profile, pa, &c.clock);
    s->found[s->count++] = c;
    return true;
}

/* Search for profile number `n` at TV_PT_SLOTS candidate frames.  False: there is no room for more. */
static bool probe(struct tv_kernel *k, uint32_t n, uint64_t first)
{
    const struct tv_kernel_profile *p = tv_profiles[n];
    uint64_t id_offset = p->build_id_va - p->text_va, hits = 0;
    uint32_t in_page = (uint32_t)(id_offset & (TV_PAGE_SIZE - 1));
    uint32_t part = TV_PAGE_SIZE - in_page < TV_BUILD_ID_SIZE ? TV_PAGE_SIZE - in_page : TV_BUILD_ID_SIZE;

    for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
        k->pt.gfn[i] = ((first + i) * TV_PROBE_STEP + id_offset) >> TV_PAGE_SHIFT;
    tv_view_map(k, &k->pt, 0, TV_PT_SLOTS);
    for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
        if (!k->pt.err[i] && memcmp(k->pt.base + (size_t)i * TV_PAGE_SIZE + in_page, p->build_id, part) == 0)
            hits |= UINT64_C(1) << i;
    tv_pt_cache_flush(k); /* the slots were used out of their order */
    for (uint32_t i = 0; i < TV_PT_SLOTS; i++)
        if ((hits >> i & 1) && !add_hit(k, n, (first + i) * TV_PROBE_STEP))
            return false;
    return true;
}

/* Read the candidates again: drop what is no kernel any more, or is known to have stopped. */
static void review(struct tv_kernel *k)
{
    struct tv_search *s = &k->search;
    uint32_t left = 0;

    tv_pt_cache_flush(k);
    for (uint32_t i = 0; i < s->count; i++) {
        struct tv_candidate c = s->found[i];
        struct tv_clock now;

        if (!tv_candidate_at(k, c.profile, c.text_pa, &c))
            continue;
        tv_clock_read(k, c.profile, c.text_pa, &now);
        c.moved = c.moved || tv_clock_moved(&c.clock, &now);
        if (!c.moved)
            c.clock = now; /* of another source, or the same */
        if (c.moved || !tv_is_stale(k, &c))
            s->found[left++] = c;
    }
    s->count = left;
}

/* Of memory that stands still: what has not ended goes before what has, then the later clock.  <0, 0, >0. */
static int compare(struct tv_kernel *k, const struct tv_candidate *a, const struct tv_candidate *b)
{
    bool a_ended = tv_has_ended(k, a->profile, a->text_pa), b_ended = tv_has_ended(k, b->profile, b->text_pa);

    if (a_ended != b_ended)
        return a_ended ? -1 : 1;
    return a->clock.real < b->clock.real ? -1 : a->clock.real > b->clock.real;
}

/* The one that runs, or NULL with *err: -TV_EAGAIN ask again, -TV_EBUSY nothing decides. */
static const struct tv_candidate *choose(struct tv_kernel *k, int *err)
{
    struct tv_search *s = &k->search;
    const struct tv_candidate *best = NULL;
    uint32_t moved = 0;
    int64_t cpu = guest_mem_cpu_ns(k->gm);
    bool tie = false, worked, waited = tv_now_ns() - s->passed_ns >= WATCH_NS;

    for (uint32_t i = 0; i < s->count; i++)
        if (s->found[i].moved) {
            best = &s->found[i];
            moved++;
        }
    *err = moved > 1 ? -TV_EBUSY : 0;
    if (moved)
        return moved == 1 ? best : NULL;

    best = &s->found[0];
    for (uint32_t i = 1; i < s->count; i++) {
        int order = compare(k, &s->found[i], best);

        tie = order == 0 || (order < 0 && tie);
        best = order > 0 ? &s->found[i] : best;
    }
    *err = tie ? -TV_EBUSY : 0;
    if (cpu != -TV_EAGAIN && cpu < 0) /* an image: it will not move */
        return tie ? NULL : best;
    if (tv_has_ended(k, best->profile, best->text_pa)) { /* and so they all: left by an earlier boot */
        *err = -TV_ENOENT;
        return NULL;
    }
    if (cpu < 0 || !best->profile->clock_va) /* paused: as an image */
        return tie ? NULL : best;
    if (s->count == 1 && !best->clock.source)
        return best; /* so early in its boot that it has no clock */
    worked = s->passed_cpu_ns && (uint64_t)cpu - s->passed_cpu_ns >= WORKED_NS;
    if (waited && s->count == 1 && !worked)
        return best; /* it sleeps */
    *err = waited ? -TV_EBUSY : -TV_EAGAIN;
    return NULL;
}

/* Probe on from where the last call ended.  1: all memory has been seen; 0: not yet; negative errno. */
static int probe_on(struct tv_kernel *k)
{
    struct tv_search *s = &k->search;
    uint64_t start = tv_now_ns();
    int64_t frames = guest_mem_frames(k->gm);
    uint64_t candidates;

    if (frames < 0)
        return (int)frames;
    candidates = ((uint64_t)frames * TV_PAGE_SIZE + TV_PROBE_STEP - 1) / TV_PROBE_STEP;
    if (!s->started_ns) {
        memset(s, 0, sizeof(*s));
        s->started_ns = start;
    }
    tv_pt_cache_flush(k);
    for (; s->next < candidates; s->next += TV_PT_SLOTS) {
        if (tv_now_ns() - start >= TV_SEARCH_NS)
            break;
        for (uint32_t n = 0; n < tv_profile_count; n++)
            if (!probe(k, n, s->next))
                return -TV_EBUSY;
    }
    s->worked_ns += tv_now_ns() - start;
    return s->next >= candidates;
}

int tv_kernel_find(struct tv_kernel *k)
{
    struct tv_search *s = &k->search;
    const struct tv_candidate *running;
    int64_t cpu;
    int err = s->started_ns ? -TV_EOPNOTSUPP : tv_kernel_find_pv(k);

    if (err != -TV_EOPNOTSUPP)
        return err;
    if (!s->passed) {
        err = probe_on(k);
        if (err < 0) {
            tv_kernel_forget(k);
            return err;
        }
        if (!err)
            return -TV_EAGAIN;
        s->passed = true;
        s->passed_ns = tv_now_ns();
        cpu = guest_mem_cpu_ns(k->gm);
        s->passed_cpu_ns = cpu < 0 ? 0 : (uint64_t)cpu;
    }
    review(k);
    err = -TV_ENOENT;
    running = s->count ? choose(k, &err) : NULL;
    if (running) {
        tv_kernel_take(k, running);
        return 0;
    }
    if (err != -TV_EAGAIN)
        tv_kernel_forget(k); /* the next call begins anew */
    return err;
}
