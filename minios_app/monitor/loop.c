/* SPDX-License-Identifier: MIT */
#include <tinyvmi/config.h>
#include <tinyvmi/monitor.h>
#include <tinyvmi/platform.h>
#include <tinyvmi/record.h>
#include <tinyvmi/sha256.h>

#include "scan.h"

#define MS UINT64_C(1000000)
#define WAIT_MS 50 /* between two looks for a privilege or a kernel that is not there yet */

static uint64_t started_ns;

static void hello(const struct tv_run *run)
{
    tv_rec_begin("hello");
    tv_rec_uint("abi", 1);
    tv_rec_str("image", tv_config.image_id);
    tv_rec_str("run", run->nonce);
    tv_rec_uint("target", run->target);
    tv_rec_str("base", tv_config.base);
    tv_rec_str("base_rev", tv_config.base_rev);
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
    tv_rec_uint("us", us);
    tv_rec_end();
}

static void heartbeat(uint32_t scans, enum tv_verdict verdict)
{
    tv_rec_begin("heartbeat");
    tv_rec_uint("scan", scans);
    tv_rec_str("verdict", tv_verdict_name(verdict));
    tv_rec_uint("uptime_ms", (tv_now_ns() - started_ns) / MS);
    tv_rec_end();
}

/* Say, once for each change of `reason`, why there is nothing to check yet. */
static void waiting(const char **said, const char *reason)
{
    if (*said == reason)
        return;
    *said = reason;
    tv_rec_begin("waiting");
    tv_rec_str("reason", reason);
    tv_rec_end();
}

static enum tv_verdict bye(uint32_t scans, enum tv_verdict verdict, const char *reason)
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
    return bye(0, TV_ERROR, reason);
}

/* Jitter hides from the target when the next scan will come; it needs no cryptography. */
static uint64_t next_pause_ns(const struct tv_run *run)
{
    static uint64_t state;
    uint64_t period = run->period_ms * MS, spread = period / 100 * run->jitter_pct;

    state += tv_now_ns() | 1;
    state ^= state >> 30;
    state *= UINT64_C(0xbf58476d1ce4e5b9);
    state ^= state >> 27;
    return spread ? period - spread + state % (2 * spread) : period;
}

/* Sleep until `until`, with a sign of life at least once a heartbeat. */
static void sleep_until(const struct tv_run *run, uint64_t until, uint32_t scans, enum tv_verdict verdict)
{
    uint64_t beat = run->heartbeat_ms * MS;

    for (;;) {
        uint64_t now = tv_now_ns();

        if (now >= until)
            return;
        if (until - now <= beat) {
            tv_sleep_ns(until - now);
            return;
        }
        tv_sleep_ns(beat);
        heartbeat(scans, verdict);
    }
}

static int wait_for_privilege(struct guest_mem *gm, const struct tv_run *run)
{
    for (;;) {
        int64_t frames = guest_mem_frames(gm);

        if (frames >= 0)
            return 0;
        if (tv_now_ns() - started_ns >= run->patience_ms * MS)
            return (int)frames;
        tv_sleep_ns(WAIT_MS * MS);
    }
}

/*
 * Wait until a known kernel has booted.  NULL, or why the run ends here.  While
 * there is nothing to check, heartbeats say unverifiable and scans do not count.
 */
static const char *wait_for_kernel(struct tv_kernel *k, const struct tv_run *run)
{
    uint64_t last_beat = tv_now_ns();
    const char *said = NULL;

    while (!k->profile || !tv_kernel_running(k)) {
        uint64_t start = tv_now_ns();

        if (!guest_mem_alive(k->gm))
            return "target-gone";
        if (!k->profile) {
            if (tv_kernel_find(k) == 0) {
                found(k, (tv_now_ns() - start) / 1000);
                continue;
            }
            waiting(&said, "no kernel that this image knows is in the target's memory");
        } else {
            waiting(&said, "the kernel is still booting");
        }
        if (run->scans && tv_now_ns() - started_ns >= run->patience_ms * MS)
            return k->profile ? "kernel-not-running" : "no-kernel";
        if (tv_now_ns() - last_beat >= run->heartbeat_ms * MS) {
            last_beat = tv_now_ns();
            heartbeat(0, TV_UNVERIFIABLE);
        }
        tv_sleep_ns(WAIT_MS * MS);
        tv_pt_cache_flush(k);
    }
    return NULL;
}

static enum tv_verdict scan_loop(struct tv_kernel *k, const struct tv_run *run)
{
    enum tv_verdict worst = TV_INTACT;
    uint32_t scans = 0;
    uint64_t next = tv_now_ns();

    for (;;) {
        enum tv_verdict verdict = tv_scan(k, scans);

        if (!guest_mem_alive(k->gm))
            return bye(scans, scans ? worst : TV_UNVERIFIABLE, "target-gone");
        if (verdict > worst)
            worst = verdict;
        heartbeat(++scans, verdict);
        if (run->scans && scans >= run->scans)
            return bye(scans, worst, "scans-done");
        next += next_pause_ns(run);
        if (next < tv_now_ns())
            next = tv_now_ns(); /* a scan longer than the period: do not try to catch up */
        sleep_until(run, next, scans, verdict);
    }
}

enum tv_verdict tv_monitor(struct guest_mem *gm, const struct tv_run *run)
{
    static struct tv_kernel kernel;
    const char *ended;
    enum tv_verdict verdict;
    int err;

    started_ns = tv_now_ns();
    hello(run);
    if (!tv_sha256_self_test())
        return give_up("sha256", "the known-answer test failed", "self-test");
    err = wait_for_privilege(gm, run);
    if (err == -TV_ESRCH)
        return give_up("target", "no such domain", "no-target");
    if (err)
        return give_up("target", "the hypervisor does not let this domain read the target", "no-privilege");
    if (tv_kernel_init(&kernel, gm))
        return give_up("memory", "not enough memory for page-table views", "no-memory");
    ended = wait_for_kernel(&kernel, run);
    if (ended) {
        verdict = bye(0, TV_UNVERIFIABLE, ended);
    } else if (tv_scan_attach(&kernel)) {
        verdict = give_up("memory", "not enough memory to map the kernel", "no-memory");
    } else {
        verdict = scan_loop(&kernel, run);
        tv_scan_detach(&kernel);
    }
    tv_kernel_fini(&kernel);
    return verdict;
}
