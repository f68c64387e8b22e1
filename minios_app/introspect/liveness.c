/* SPDX-License-Identifier: MIT */
/*
 * Does the kernel that was found run?  A kernel that another one has replaced
 * (kexec, a crash kernel, a warm reboot) lies in memory as it was left, whole,
 * with page tables and all; what it cannot do is tick.  Its clock is compared
 * with the processor time that the target has used: time used without a tick
 * means that something else used it.  A target that is idle or paused uses none.
 */
#include <tinyvmi/platform.h>

#include "internal.h"

#define MS         UINT64_C(1000000)
#define WORKED_NS  (500 * MS)  /* of processor time without a tick: HZ is 100 or more */
#define IDLE_NS    (50 * MS)   /* less than this in a second is what an idle guest uses */
#define STOOD_NS   (2000 * MS) /* … and of time: many processors can use the first within a tick */
#define SETTLED_NS (1000 * MS)
#define ASLEEP_NS  (30 * MS) /* of processor time: what takes a kernel's place copies, checks and unpacks for longer */
#define LONGEST_NS (3000 * MS)
#define LOOK_NS    (20 * MS)
#define FRESH_NS   (60000 * MS) /* after it has come to keep time otherwise, a kernel may say that it boots */
#define ALONE_NS   (10000 * MS) /* of processor time: by then whatever replaced a kernel has a clock of its own */

/* What the image at `text_pa` has at a link address.  A PV guest's frames lie here and there: through its root. */
static bool read_image(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa, uint64_t link_va,
                       void *dst, size_t n)
{
    return k->pv ? tv_read_va(k, link_va, dst, n) : tv_read_pa(k, text_pa + (link_va - p->text_va), dst, n);
}

void tv_clock_read(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa, struct tv_clock *clock)
{
    memset(clock, 0, sizeof(*clock));
    if (p->clock_va &&
        (!read_image(k, p, text_pa, p->clock_va + p->clock_source, &clock->source, sizeof(clock->source)) ||
         !read_image(k, p, text_pa, p->clock_va + p->clock_cycle, &clock->cycle, sizeof(clock->cycle)) ||
         !read_image(k, p, text_pa, p->clock_va + p->clock_real, &clock->real, sizeof(clock->real))))
        memset(clock, 0, sizeof(*clock));
}

bool tv_clock_moved(const struct tv_clock *then, const struct tv_clock *now)
{
    return then->source && then->source == now->source && then->cycle != now->cycle;
}

bool tv_has_ended(struct tv_kernel *k, const struct tv_kernel_profile *p, uint64_t text_pa)
{
    uint32_t state;

    return read_image(k, p, text_pa, p->system_state_va, &state, sizeof(state)) &&
           state > p->system_running && state < p->system_suspend;
}

/* Begin anew to count what the target does without a tick. */
static void rebase(struct tv_kernel *k, int64_t cpu)
{
    k->moved_ns = tv_now_ns();
    k->moved_cpu_ns = cpu < 0 ? UINT64_MAX : (uint64_t)cpu;
}

/*
 * Has the kernel been started anew in its place (a reset without KASLR)?  It keeps time by other means than
 * before and has not booted.  system_state alone would be too cheap a way to be left in peace.
 */
static bool begun_anew(struct tv_kernel *k)
{
    uint32_t state;

    return k->was_running && k->resourced_ns && tv_now_ns() - k->resourced_ns < FRESH_NS &&
           read_image(k, k->profile, k->text_pa, k->profile->system_state_va, &state, sizeof(state)) &&
           state < k->profile->system_running;
}

/* Note the clock as it is now; true if it has ticked since it was last noted. */
static bool ticked(struct tv_kernel *k)
{
    int64_t cpu = guest_mem_cpu_ns(k->gm); /* before the clock: a tick that is seen came after it */
    struct tv_clock now;
    bool moved, first = !k->clock.source;

    tv_clock_read(k, k->profile, k->text_pa, &now);
    moved = tv_clock_moved(&k->clock, &now);
    k->ran = k->ran || moved;
    /* Another source: the kernel has chosen a better one.  It ticks again if it runs. */
    if (!first && now.source != k->clock.source)
        k->resourced_ns = tv_now_ns();
    if (moved || (now.source && now.source != k->clock.source))
        k->clock = now;
    if (moved || first) {
        k->ticking_cpu_ns = k->noted_cpu_ns;
        rebase(k, cpu);
    }
    k->noted_cpu_ns = cpu;
    return moved;
}

/*
 * Does the target sleep, after so little work since the kernel still ticked that nothing can have taken its
 * place?  The work is counted from the last look before that tick.  An idle kernel may not tick for long.
 */
static bool sleeps(struct tv_kernel *k)
{
    bool waits = guest_mem_waits(k->gm);
    int64_t cpu = guest_mem_cpu_ns(k->gm);

    return waits && k->ticking_cpu_ns > 0 && cpu >= k->ticking_cpu_ns && cpu - k->ticking_cpu_ns < (int64_t)ASLEEP_NS;
}

enum tv_life tv_kernel_life(struct tv_kernel *k)
{
    int64_t cpu;

    if (ticked(k))
        return begun_anew(k) ? TV_DEAD_CLOCK : TV_ALIVE;
    if (!k->profile->clock_va)
        return TV_QUIET;
    cpu = guest_mem_cpu_ns(k->gm);
    if (cpu < 0 || k->moved_cpu_ns == UINT64_MAX) {
        rebase(k, cpu); /* paused until now, or a memory image */
        return TV_QUIET;
    }
    if ((uint64_t)cpu < k->moved_cpu_ns || (uint64_t)cpu - k->moved_cpu_ns < WORKED_NS)
        return TV_QUIET;
    return tv_now_ns() - k->moved_ns < STOOD_NS ? TV_QUIET : TV_DEAD_CLOCK;
}

bool tv_kernel_still_there(struct tv_kernel *k)
{
    uint64_t start = tv_now_ns();
    int64_t cpu = guest_mem_cpu_ns(k->gm), now;
    uint64_t source;

    ticked(k);
    source = k->resourced_ns;
    while (cpu >= 0 && k->profile->clock_va && tv_now_ns() - start < LONGEST_NS) {
        if (sleeps(k))
            return k->resourced_ns == source && !begun_anew(k);
        tv_sleep_ns(LOOK_NS);
        tv_pt_cache_flush(k);
        if (!guest_mem_alive(k->gm))
            return false;
        if (ticked(k))
            return k->resourced_ns == source && !begun_anew(k); /* else it was, while this waited */
        now = guest_mem_cpu_ns(k->gm);
        if (now < 0 || (tv_now_ns() - start >= SETTLED_NS && now - cpu < (int64_t)IDLE_NS))
            return true; /* it sleeps: nothing replaces a kernel in its sleep */
    }
    return guest_mem_alive(k->gm) && tv_kernel_life(k) != TV_DEAD_CLOCK;
}

bool tv_kernel_arriving(struct tv_kernel *k)
{
    k->ran = k->ran || guest_mem_cpu_ns(k->gm) != -TV_EAGAIN;
    return !k->ran;
}

void tv_kernel_bury(struct tv_kernel *k)
{
    struct tv_dead *grave = &k->dead[k->deaths++ % TV_DEAD];

    grave->profile_index = k->profile_index;
    grave->text_pa = k->text_pa;
    grave->root_pa = k->root_pa;
    grave->pv = k->pv;
    grave->cpu_ns = guest_mem_cpu_ns(k->gm);
    tv_clock_read(k, k->profile, k->text_pa, &grave->clock);
    tv_kernel_forget(k);
}

bool tv_kernel_exhume(struct tv_kernel *k)
{
    struct tv_dead *last = &k->dead[(k->deaths - 1) % TV_DEAD];
    int64_t cpu = guest_mem_cpu_ns(k->gm);
    struct tv_candidate here = { .profile_index = last->profile_index };
    const struct tv_kernel_profile *p = tv_profiles[last->profile_index];

    if (!k->deaths || cpu < 0)
        return false;
    if (last->cpu_ns < 0 || cpu < last->cpu_ns)
        last->cpu_ns = cpu; /* it was paused then, or its processors are counted anew */
    if (cpu - last->cpu_ns < (int64_t)ALONE_NS)
        return false;
    last->cpu_ns = cpu; /* as long again until the next time */
    k->pv = last->pv; /* such a kernel is read through its root */
    k->root_pa = last->root_pa;
    k->levels = PV_LEVELS;
    if (tv_has_ended(k, p, last->text_pa) || !tv_candidate_at(k, p, last->text_pa, &here)) {
        k->pv = false;
        return false;
    }
    tv_kernel_take(k, &here);
    k->stopped = true;
    return true;
}
