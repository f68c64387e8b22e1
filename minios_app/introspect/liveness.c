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
/* Of processor time: what takes a kernel's place copies, checks and unpacks for longer. */
#define ASLEEP_NS  (30 * MS)
#define LONGEST_NS (3000 * MS)
/* After a kernel has come to keep time otherwise, system_state may be that of a boot. */
#define FRESH_NS (60000 * MS)

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
           tv_read_image(k, k->profile, k->text_pa, k->profile->system_state_va, &state, sizeof(state)) &&
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
 * place?  The work is counted from the last reading before that tick.  An idle kernel may not tick for long.
 */
static bool sleeps(struct tv_kernel *k)
{
    bool waits = guest_mem_waits(k->gm);
    int64_t cpu = guest_mem_cpu_ns(k->gm);

    return waits && k->ticking_cpu_ns > 0 && cpu >= k->ticking_cpu_ns &&
           cpu - k->ticking_cpu_ns < (int64_t)ASLEEP_NS;
}

enum tv_liveness tv_kernel_liveness(struct tv_kernel *k)
{
    int64_t cpu;

    if (ticked(k))
        return begun_anew(k) ? TV_LIVE_STOPPED : TV_LIVE_TICKING;
    if (!k->profile->clock_va)
        return TV_LIVE_QUIET;
    cpu = guest_mem_cpu_ns(k->gm);
    if (cpu < 0 || k->moved_cpu_ns == UINT64_MAX) {
        rebase(k, cpu); /* paused until now, or a memory image */
        return TV_LIVE_QUIET;
    }
    if ((uint64_t)cpu < k->moved_cpu_ns || (uint64_t)cpu - k->moved_cpu_ns < WORKED_NS)
        return TV_LIVE_QUIET;
    return tv_now_ns() - k->moved_ns < STOOD_NS ? TV_LIVE_QUIET : TV_LIVE_STOPPED;
}

void tv_presence_begin(struct tv_kernel *k, struct tv_presence_query *q)
{
    *q = (struct tv_presence_query){ .began_ns = tv_now_ns(), .cpu_ns = guest_mem_cpu_ns(k->gm) };
    ticked(k);
    q->resourced_ns = k->resourced_ns;
}

/* It ticks, or sleeps: is it the one that was there when the question was put? */
static enum tv_presence same_or_absent(struct tv_kernel *k, const struct tv_presence_query *q)
{
    return k->resourced_ns == q->resourced_ns && !begun_anew(k) ? TV_PRESENT : TV_ABSENT;
}

enum tv_presence tv_presence_poll(struct tv_kernel *k, struct tv_presence_query *q)
{
    uint64_t waited_ns = tv_now_ns() - q->began_ns;

    if (q->polled) {
        int64_t cpu_ns;

        tv_pt_cache_flush(k);
        if (!guest_mem_alive(k->gm))
            return TV_ABSENT;
        if (ticked(k))
            return same_or_absent(k, q);
        cpu_ns = guest_mem_cpu_ns(k->gm);
        if (cpu_ns < 0 || (waited_ns >= SETTLED_NS && cpu_ns - q->cpu_ns < (int64_t)IDLE_NS))
            return TV_PRESENT; /* it sleeps: nothing replaces a kernel in its sleep */
    }
    q->polled = true;
    if (q->cpu_ns >= 0 && k->profile->clock_va && waited_ns < LONGEST_NS)
        return sleeps(k) ? same_or_absent(k, q) : TV_PRESENCE_OPEN;
    return guest_mem_alive(k->gm) && tv_kernel_liveness(k) != TV_LIVE_STOPPED ? TV_PRESENT : TV_ABSENT;
}

bool tv_kernel_arriving(struct tv_kernel *k)
{
    k->ran = k->ran || guest_mem_cpu_ns(k->gm) != -TV_EAGAIN;
    return !k->ran;
}
