/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>
#include <tinyvmi/digest.h>
#include <tinyvmi/monitor.h>
#include <tinyvmi/schedule.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>

#include "scan.h"

#define MS UINT64_C(1000000)
#define WAIT_MS 50 /* between two looks for a kernel that is not there yet */
#define REFUSED_MS 250 /* between two looks for a privilege: a policy writes each refusal into Xen's log */
#define UNKNOWN_NS (2000 * MS) /* without a known kernel, before the memory is asked what it holds */
#define BOOTING_NS (2000 * MS) /* a kernel that does not get on with its boot */
#define BOOTED_NS (300000 * MS) /* one that says for so long that it boots, and ticks, is taken as it is */

static uint64_t started_ns;
static struct tv_digest digest;
static uint8_t digest_scratch[TV_DIGEST_SCRATCH];

static void hello(const struct tv_run *run)
{
    tv_rec_begin("hello");
    tv_rec_uint("abi", 2);
    tv_rec_str("image", tv_config.image_id);
    tv_rec_str("nonce", run->nonce);
    tv_rec_uint("target", run->target);
    tv_rec_str("base", tv_config.base);
    tv_rec_str("base_rev", tv_config.base_rev);
    tv_rec_str("digest", tv_digest_name(&digest));
    tv_rec_open_array("profiles");
    for (uint32_t i = 0; i < tv_profile_count; i++) {
        tv_rec_open_object();
        tv_rec_hex("build_id", tv_profiles[i]->build_id, TV_BUILD_ID_SIZE);
        tv_rec_str("release", tv_profiles[i]->release);
        tv_rec_close_object();
    }
    tv_rec_close_array();
    tv_rec_uint("period_ms", run->period_ms);
    tv_rec_end();
}

static void found(const struct tv_kernel *k, uint64_t us)
{
    tv_rec_begin("kernel");
    tv_rec_uint("profile", k->profile_index);
    tv_rec_hex("build_id", k->profile->build_id, TV_BUILD_ID_SIZE);
    tv_rec_str("release", k->profile->release);
    tv_rec_addr("text_pa", k->text_pa);
    tv_rec_addr("text_va", k->profile->text_va + k->delta);
    tv_rec_addr("delta", k->delta);
    tv_rec_addr("root_pa", k->root_pa);
    tv_rec_uint("levels", k->levels);
    if (k->pv)
        tv_rec_uint("pv", 1);
    tv_rec_uint("duration_us", us);
    tv_rec_end();
}

/* Where the run stands, for its heartbeats. */
static const struct tv_run *the_run;
static uint32_t scans;              /* completed */
static enum tv_verdict verdict_now; /* of the last one, or unverifiable while there is nothing to scan */
static enum tv_verdict worst;
static enum tv_verdict meanwhile;   /* what heartbeats say while no kernel is watched */
static uint64_t last_beat_ns;
static bool scanning, gone; /* a scan is under way; a look found no kernel */

static void heartbeat(void)
{
    last_beat_ns = tv_now_ns();
    tv_rec_begin("heartbeat");
    tv_rec_uint("scan", scans);
    tv_rec_str("verdict", tv_verdict_name(verdict_now));
    tv_rec_uint("uptime_ms", (last_beat_ns - started_ns) / MS);
    tv_rec_end();
}

void tv_beat_if_due(void)
{
    if (tv_now_ns() - last_beat_ns >= the_run->heartbeat_ms * MS)
        heartbeat();
}

/* Say, once for each change of `reason`, why there is nothing to check now. */
static void waiting(const char **said, const char *reason, const char *banner)
{
    verdict_now = meanwhile;
    if (scans && worst < TV_UNVERIFIABLE)
        worst = TV_UNVERIFIABLE; /* it was watched, and is not now */
    if (*said == reason && !banner)
        return;
    *said = reason;
    tv_rec_begin("waiting");
    tv_rec_str("reason", reason);
    if (banner)
        tv_rec_str("banner", banner);
    tv_rec_end();
}

static enum tv_verdict bye(enum tv_verdict verdict, const char *reason)
{
    tv_rec_begin("bye");
    tv_rec_uint("scan", scans);
    tv_rec_str("verdict", tv_verdict_name(verdict));
    tv_rec_str("reason", reason);
    tv_rec_end();
    return verdict;
}

static enum tv_verdict give_up(const char *where, const char *what, const char *reason)
{
    tv_rec_begin("error");
    tv_rec_str("where", where);
    tv_rec_str("what", what);
    tv_rec_end();
    return bye(TV_ERROR, reason);
}

/* Jitter hides from the target when the next scan will come. */
static uint64_t next_pause_ns(const struct tv_run *run)
{
    uint64_t period = run->period_ms * MS, spread = period / 100 * run->jitter_pct;

    return spread ? period - spread + tv_random() * (2 * spread >> 16) / 65536 : period;
}

/* A look has changed what is known: count it as a scan, unless one is under way. */
static void tell_look(void)
{
    verdict_now = tv_scan_verdict();
    if (verdict_now > worst)
        worst = verdict_now;
    if (!scanning)
        scans++;
    heartbeat();
}

void tv_sleep_looking(struct tv_kernel *k, uint64_t until)
{
    while (!gone) {
        uint64_t now = tv_now_ns(), beat = last_beat_ns + the_run->heartbeat_ms * MS, look = tv_look_due();
        uint64_t next = until < beat ? until : beat;

        if (now >= until)
            return;
        if (now >= beat) {
            heartbeat();
        } else if (now >= look) {
            if (tv_kernel_life(k) == TV_DEAD_CLOCK || tv_look(k, scans, scanning) == TV_SCAN_GONE)
                gone = true;
            else if (tv_scan_verdict() != verdict_now)
                tell_look();
        } else {
            next = next < look ? next : look;
            tv_sleep_ns(next - now);
        }
    }
}

static int wait_for_privilege(struct guest_mem *gm, const struct tv_run *run)
{
    const char *said = NULL;

    for (;;) {
        int64_t frames = guest_mem_frames(gm);

        if (frames >= 0)
            return 0;
        if (tv_now_ns() - started_ns >= run->patience_ms * MS)
            return (int)frames;
        waiting(&said, "the hypervisor does not let this domain read the target yet", NULL);
        tv_beat_if_due();
        tv_sleep_ns(REFUSED_MS * MS);
    }
}

static const char no_kernel[] = "no kernel that this image knows is in the target's memory";
static const char undecided[] = "known kernels are in the target's memory, but none can be told to be the one that runs";
static const char searching[] = "the target's memory is being searched";
static const char booting[] = "the kernel is still booting";

/* Look for a kernel once.  How long to rest then, in ns; 0: it was found. */
static uint64_t look_for_kernel(struct tv_kernel *k, const char **said)
{
    uint64_t start = tv_now_ns();
    int err = tv_kernel_find(k);

    if (!err)
        return 0;
    if (err == -TV_EAGAIN) { /* more memory to see, or a clock to watch; soon said to be so if it takes long */
        if (*said || tv_now_ns() - started_ns > 2 * TV_SLICE_NS)
            waiting(said, *said ? *said : searching, NULL);
        return k->search.passed ? 10 * MS : 1;
    }
    waiting(said, err == -TV_EBUSY ? undecided : no_kernel, NULL);
    /* No more than a third of a processor, however large the target is. */
    return 2 * (tv_now_ns() - start) > WAIT_MS * MS ? 2 * (tv_now_ns() - start) : WAIT_MS * MS;
}

/*
 * Nothing runs that is known.  Who only stops the clock of the kernel that was watched gains nothing by
 * it: what is wrong in one that nothing has replaced is told.
 */
static void judge_stopped(struct tv_kernel *k)
{
    enum tv_verdict verdict = TV_UNVERIFIABLE;

    if (meanwhile == TV_TAMPERED || !tv_kernel_exhume(k))
        return;
    if (!tv_scan_attach(k)) {
        tv_scan(k, scans, &verdict);
        tv_scan_detach(k);
    }
    tv_kernel_forget(k);
    if (verdict != TV_TAMPERED)
        return;
    worst = meanwhile = verdict_now = verdict;
    scans++;
    heartbeat();
}

/*
 * Wait until a known kernel has booted.  NULL, or why the run ends here.  While
 * there is nothing to check, heartbeats say unverifiable and scans do not count.
 */
static const char *wait_for_kernel(struct tv_kernel *k, const struct tv_run *run, const char *said)
{
    uint64_t start = tv_now_ns(), found_at = 0, told = UINT64_MAX, us = 0;
    bool over = false;

    memset(&k->banner, 0, sizeof(k->banner));
    for (;;) {
        uint64_t rest, began = tv_now_ns();

        if (!guest_mem_alive(k->gm))
            return "target-gone";
        if (!k->profile) {
            rest = look_for_kernel(k, &said);
            us += (tv_now_ns() - began) / 1000;
            if (!rest) {
                meanwhile = TV_UNVERIFIABLE;
                if (k->text_pa != told)
                    found(k, us);
                told = k->text_pa;
                us = 0;
                found_at = tv_now_ns();
                continue;
            }
            over = rest >= WAIT_MS * MS; /* all memory was seen */
            if (over && said == no_kernel && tv_now_ns() - start >= UNKNOWN_NS && tv_banner_search(k))
                waiting(&said, no_kernel, k->banner.text);
            if (over && said == no_kernel)
                judge_stopped(k);
        } else {
            if (tv_kernel_running(k) || tv_now_ns() - found_at >= BOOTED_NS)
                return NULL;
            waiting(&said, booting, NULL);
            rest = WAIT_MS * MS;
            over = true;
            if (tv_now_ns() - found_at >= BOOTING_NS && tv_kernel_life(k) != TV_ALIVE) {
                over = false;
                tv_kernel_forget(k); /* an image that never boots must not hide the kernel that runs */
            }
        }
        if (over && run->scans && tv_now_ns() - start >= run->patience_ms * MS)
            return k->profile ? "kernel-not-running" : "no-kernel";
        tv_beat_if_due();
        tv_sleep_ns(rest);
        tv_pt_cache_flush(k);
    }
}

/* Scan until the run is over: its reason; or until the kernel is no more: NULL, and it is forgotten. */
static const char *scan_loop(struct tv_kernel *k, const struct tv_run *run)
{
    uint64_t next = tv_now_ns();
    const char *said = NULL;

    tv_look_attach(k);
    gone = false;
    for (;;) {
        enum tv_verdict verdict = TV_UNVERIFIABLE;
        enum tv_scan_end end = TV_SCAN_GONE;

        tv_pt_cache_flush(k);
        tv_pace_begin(run->period_ms * MS);
        scanning = true;
        if (!gone && tv_kernel_life(k) != TV_DEAD_CLOCK)
            end = tv_scan(k, scans, &verdict);
        scanning = false;
        tv_pace_end();
        if (!guest_mem_alive(k->gm))
            return "target-gone";
        if (end == TV_SCAN_GONE || gone)
            return NULL;
        if (end == TV_SCAN_ARRIVING) {
            waiting(&said, "the target is paused, and not all of its memory is there", NULL);
            tv_beat_if_due();
            tv_sleep_ns(WAIT_MS * MS);
            next = tv_now_ns();
            continue;
        }
        if (verdict > worst)
            worst = verdict;
        verdict_now = verdict;
        scans++;
        heartbeat();
        if (run->scans && scans >= run->scans)
            return "scans-done";
        next += next_pause_ns(run);
        if (next < tv_now_ns())
            next = tv_now_ns(); /* a scan longer than the period: do not try to catch up */
        tv_sleep_looking(k, next);
        if (run->scans && scans >= run->scans)
            return "scans-done";
    }
}

static enum tv_verdict watch(struct tv_kernel *k, const struct tv_run *run)
{
    static const char stopped[] = "the kernel that was watched does not run any more";
    const char *said = NULL, *ended;

    for (;;) {
        ended = wait_for_kernel(k, run, said);
        said = NULL; /* that the next one stops is news again */
        if (!ended && tv_scan_attach(k))
            return give_up("memory", "not enough memory to map the kernel", "no-memory");
        if (!ended) {
            ended = scan_loop(k, run);
            tv_scan_detach(k);
        }
        if (ended)
            return bye(scans ? worst : TV_UNVERIFIABLE, ended);
        tv_kernel_bury(k);
        waiting(&said, stopped, NULL);
    }
}

enum tv_verdict tv_monitor(struct guest_mem *gm, const struct tv_run *run)
{
    static struct tv_kernel kernel;
    enum tv_verdict verdict;
    bool digests;
    int err;

    started_ns = last_beat_ns = tv_now_ns();
    the_run = run;
    scans = 0;
    worst = TV_INTACT;
    verdict_now = meanwhile = TV_UNVERIFIABLE;
    digests = tv_digest_init(&digest, digest_scratch);
    hello(run);
    if (!digests)
        return give_up("digest", "the known-answer test failed", "self-test");
    err = wait_for_privilege(gm, run);
    if (err == -TV_ESRCH)
        return give_up("target", "no such domain", "no-target");
    if (err)
        return give_up("target", "the hypervisor does not let this domain read the target", "no-privilege");
    if (tv_kernel_init(&kernel, gm))
        return give_up("memory", "not enough memory for page-table views", "no-memory");
    kernel.digest = &digest;
    verdict = watch(&kernel, run);
    tv_kernel_fini(&kernel);
    return verdict;
}
