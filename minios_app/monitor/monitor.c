/* SPDX-License-Identifier: MIT */
#include "monitor.h"

#define WAIT_MS 50  /* between two searches for a kernel that is not there yet */
/* Between two attempts to use a privilege: a policy writes each refusal into Xen's log. */
#define REFUSED_MS 250
/* Without a known kernel, before the memory is searched for what it holds. */
#define UNKNOWN_NS (2000 * TV_MS)
#define BOOTING_NS (2000 * TV_MS)   /* a kernel that does not get on with its boot */
#define BOOTED_NS \
    (300000 * TV_MS) /* one that reports for so long that it boots, and ticks, is taken as it is */

static const char no_kernel[] = "no kernel that this image knows is in the target's memory";
static const char undecided[] =
    "known kernels are in the target's memory, but none can be told to be the one that runs";
static const char searching[] = "the target's memory is being searched";
static const char booting[] = "the kernel is still booting";

/* Report, once for each change of `reason`, why there is nothing to check now. */
static void wait_because(struct monitor *m, const char **reported, const char *reason, const char *banner)
{
    struct tv_progress *p = &m->progress;

    p->verdict = p->unwatched;
    if (p->scans && p->worst < TV_UNVERIFIABLE)
        p->worst = TV_UNVERIFIABLE; /* it was watched, and is not now */
    if (*reported == reason && !banner)
        return;
    *reported = reason;
    tv_report_waiting(m, reason, banner);
}

static enum tv_verdict end(struct monitor *m, enum tv_verdict verdict, const char *reason)
{
    tv_report_bye(m, verdict, reason);
    return verdict;
}

static enum tv_verdict give_up(struct monitor *m, const char *where, const char *what, const char *reason)
{
    tv_report_error(m, where, what);
    return end(m, TV_ERROR, reason);
}

/* Jitter hides from the target when the next scan will come. */
static uint64_t next_pause_ns(struct monitor *m)
{
    uint64_t period = m->run->period_ms * TV_MS, spread = period / 100 * m->run->jitter_pct;

    return spread ? period - spread + tv_random_next(&m->random) * (2 * spread >> 16) / 65536 : period;
}

static int wait_for_privilege(struct monitor *m)
{
    const char *reported = NULL;

    for (;;) {
        int64_t frames = guest_mem_frames(m->kernel.gm);

        if (frames >= 0)
            return 0;
        if (tv_now_ns() - m->progress.started_ns >= m->run->privilege_timeout_ms * TV_MS)
            return (int)frames;
        wait_because(m, &reported, "the hypervisor does not let this domain read the target yet", NULL);
        tv_heartbeat_if_due(m);
        tv_sleep_ns(REFUSED_MS * TV_MS);
    }
}

/*
 * Nothing runs that is known.  An attacker who only stops the clock of the kernel that was watched gains nothing by it: what
 * differs in one that nothing has replaced is reported.
 */
static void check_stopped(struct monitor *m)
{
    enum tv_verdict verdict = TV_UNVERIFIABLE;
    struct tv_progress *p = &m->progress;

    if (p->unwatched == TV_TAMPERED || !tv_kernel_revive(&m->kernel))
        return;
    if (!tv_checks_init(m)) {
        tv_scan(m, p->scans, &verdict);
        tv_checks_deinit(m);
    }
    tv_kernel_forget(&m->kernel);
    if (verdict != TV_TAMPERED)
        return;
    p->worst = p->unwatched = p->verdict = verdict;
    p->scans++;
    tv_heartbeat(m);
}

/* How waiting for a kernel stands. */
struct waiting {
    const char *reported;    /* the reason */
    uint64_t began_ns, found_ns;
    uint64_t forgotten_ns;   /* when a kernel that did not finish its boot was last let go */
    uint64_t search_us;      /* spent on the search for this kernel */
    uint64_t reported_pa;    /* where the kernel lay that was reported last */
    bool searched;           /* all memory was seen */
};

/* Search for a kernel once.  How long to wait then, in ns; 0: it was found. */
static uint64_t search(struct monitor *m, struct waiting *w)
{
    uint64_t start = tv_now_ns(), took;
    int err = tv_kernel_find(&m->kernel);

    if (!err)
        return 0;
    if (err == -TV_EAGAIN) { /* more memory to see, or a clock to watch; soon reported if it takes long */
        if (w->reported || tv_now_ns() - m->progress.started_ns > 2 * TV_SEARCH_NS)
            wait_because(m, &w->reported, w->reported ? w->reported : searching, NULL);
        return m->kernel.search.passed ? 10 * TV_MS : 1;
    }
    /* A kernel that boots slowly is let go and found again: one reason until the search has long found none. */
    if (w->reported != booting || tv_now_ns() - w->forgotten_ns >= UNKNOWN_NS)
        wait_because(m, &w->reported, err == -TV_EBUSY ? undecided : no_kernel, NULL);
    /* No more than a third of a processor, however large the target is. */
    took = tv_now_ns() - start;
    return 2 * took > WAIT_MS * TV_MS ? 2 * took : WAIT_MS * TV_MS;
}

/* Without a kernel: search.  How long to wait then, in ns; 0: it was found. */
static uint64_t wait_for_any(struct monitor *m, struct waiting *w)
{
    uint64_t began = tv_now_ns(), pause = search(m, w);

    w->search_us += (tv_now_ns() - began) / 1000;
    if (!pause) {
        m->progress.unwatched = TV_UNVERIFIABLE;
        if (m->kernel.text_pa != w->reported_pa)
            tv_report_kernel(m, w->search_us);
        w->reported_pa = m->kernel.text_pa;
        w->search_us = 0;
        w->found_ns = tv_now_ns();
        return 0;
    }
    w->searched = pause >= WAIT_MS * TV_MS;
    if (!w->searched || w->reported != no_kernel)
        return pause;
    if (tv_now_ns() - w->began_ns >= UNKNOWN_NS && tv_banner_search(&m->kernel))
        wait_because(m, &w->reported, no_kernel, m->kernel.banner.text);
    check_stopped(m);
    return pause;
}

/* With a kernel that may be booting.  How long to wait, in ns; 0: it has booted. */
static uint64_t wait_for_boot(struct monitor *m, struct waiting *w)
{
    uint64_t waited = tv_now_ns() - w->found_ns;

    if (tv_kernel_running(&m->kernel) || waited >= BOOTED_NS)
        return 0;
    wait_because(m, &w->reported, booting, NULL);
    w->searched = true;
    if (tv_now_ns() - w->found_ns >= BOOTING_NS && tv_kernel_liveness(&m->kernel) != TV_LIVE_TICKING) {
        w->searched = false;
        w->forgotten_ns = tv_now_ns();
        tv_kernel_forget(&m->kernel); /* an image that never boots must not hide the kernel that runs */
    }
    return WAIT_MS * TV_MS;
}

/*
 * Wait until a known kernel has booted.  NULL, or why the run ends here.  While there is nothing to check,
 * heartbeats carry unverifiable and scans do not count.
 */
static const char *wait_for_kernel(struct monitor *m, const char *reported)
{
    struct waiting w = { .reported = reported, .began_ns = tv_now_ns(), .reported_pa = UINT64_MAX };
    struct tv_kernel *k = &m->kernel;

    memset(&k->banner, 0, sizeof(k->banner));
    for (;;) {
        uint64_t pause;

        if (!guest_mem_alive(k->gm))
            return "target-gone";
        if (!k->profile) {
            pause = wait_for_any(m, &w);
            if (!pause)
                continue;
        } else {
            pause = wait_for_boot(m, &w);
            if (!pause)
                return NULL;
        }
        if (w.searched && m->run->scans && tv_now_ns() - w.began_ns >= m->run->privilege_timeout_ms * TV_MS)
            return k->profile ? "kernel-not-running" : "no-kernel";
        tv_heartbeat_if_due(m);
        tv_sleep_ns(pause);
        tv_pt_cache_flush(k);
    }
}

/* One scan, if the kernel is there. */
static enum tv_scan_end scan_once(struct monitor *m, enum tv_verdict *verdict)
{
    enum tv_scan_end scan_end = TV_SCAN_GONE;
    struct tv_progress *p = &m->progress;

    tv_pt_cache_flush(&m->kernel);
    tv_schedule_begin(&m->schedule, m->run->period_ms * TV_MS);
    p->scanning = true;
    if (!p->gone && tv_kernel_liveness(&m->kernel) != TV_LIVE_STOPPED)
        scan_end = tv_scan(m, p->scans, verdict);
    p->scanning = false;
    tv_schedule_end(&m->schedule);
    return p->gone ? TV_SCAN_GONE : scan_end;
}

static bool are_scans_done(const struct monitor *m)
{
    return m->run->scans && m->progress.scans >= m->run->scans;
}

/* Scan until the run is over: its reason; or until the kernel is no more: NULL. */
static const char *scan_loop(struct monitor *m)
{
    struct tv_progress *p = &m->progress;
    const char *reported = NULL;
    uint64_t next = tv_now_ns();

    tv_incremental_begin(m);
    for (;;) {
        enum tv_verdict verdict = TV_UNVERIFIABLE;
        enum tv_scan_end scan_end = scan_once(m, &verdict);

        if (!guest_mem_alive(m->kernel.gm))
            return "target-gone";
        if (scan_end == TV_SCAN_GONE)
            return NULL;
        if (scan_end == TV_SCAN_ARRIVING) {
            wait_because(m, &reported, "the target is paused, and not all of its memory is there", NULL);
            tv_heartbeat_if_due(m);
            tv_sleep_ns(WAIT_MS * TV_MS);
            next = tv_now_ns();
            continue;
        }
        if (verdict > p->worst)
            p->worst = verdict;
        p->verdict = verdict;
        p->scans++;
        tv_heartbeat(m);
        if (are_scans_done(m))
            return "scans-done";
        next += next_pause_ns(m);
        if (next < tv_now_ns())
            next = tv_now_ns(); /* a scan longer than the period: do not try to catch up */
        tv_wait(m, next);
        if (are_scans_done(m))
            return "scans-done";
    }
}

static enum tv_verdict watch(struct monitor *m)
{
    static const char stopped[] = "the kernel that was watched does not run any more";
    const char *reported = NULL, *ended;

    for (;;) {
        ended = wait_for_kernel(m, reported);
        reported = NULL; /* that the next one stops is news again */
        if (!ended && tv_checks_init(m))
            return give_up(m, "memory", "not enough memory to map the kernel", "no-memory");
        if (!ended) {
            ended = scan_loop(m);
            tv_checks_deinit(m);
        }
        if (ended)
            return end(m, m->progress.scans ? m->progress.worst : TV_UNVERIFIABLE, ended);
        tv_kernel_retire(&m->kernel);
        wait_because(m, &reported, stopped, NULL);
    }
}

static void init(struct monitor *m, struct guest_mem *gm, const struct tv_run *run)
{
    memset(m, 0, sizeof(*m));
    m->run = run;
    m->costs.enabled = run->costs;
    tv_record_writer_init(&m->records, &run->sink, &m->costs);
    m->kernel.gm = gm;
    m->kernel.costs = &m->costs;
    m->kernel.digest = &m->digest;
    m->kernel.random = &m->random;
    m->kernel.page_cache = &m->page_cache;
    m->progress.started_ns = m->progress.last_beat_ns = tv_now_ns();
    m->progress.verdict = m->progress.unwatched = TV_UNVERIFIABLE;
}

enum tv_verdict tv_monitor(struct monitor *m, struct guest_mem *gm, const struct tv_run *run)
{
    enum tv_verdict verdict;
    bool digests;
    int err;

    init(m, gm, run);
    digests = tv_digest_init(&m->digest, m->digest_scratch);
    tv_report_hello(m);
    if (!digests)
        return give_up(m, "digest", "the known-answer test failed", "self-test");
    err = wait_for_privilege(m);
    if (err == -TV_ESRCH)
        return give_up(m, "target", "no such domain", "no-target");
    if (err)
        return give_up(m, "target", "the hypervisor does not let this domain read the target",
                       "no-privilege");
    if (tv_kernel_init(&m->kernel, gm))
        return give_up(m, "memory", "not enough memory for page-table views", "no-memory");
    verdict = watch(m);
    tv_kernel_deinit(&m->kernel);
    return verdict;
}
