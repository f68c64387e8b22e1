/* SPDX-License-Identifier: MIT */
/*
 * Between two scans, and between the steps of one.  Where the hypervisor reports which frames the target has
 * written, those are checked each time; a check that has no incremental form, or that found something, is run again
 * as often as its cost allows.
 */
#include <tinyvmi/config.h>

#include "monitor.h"

#define AGAIN_NS     (1000 * TV_MS) /* a check is not run again sooner than this … */
#define SHARE        100            /* … nor than so many times what it costs: a hundredth of a processor */
#define SHARE_IF_BAD 10

void tv_incremental_begin(struct monitor *m)
{
    int err;

    tv_tracking_reset(&m->tracking);
    m->progress.gone = false;
    if (!tv_config.poll_ms)
        return;
    err = tv_tracking_begin(&m->tracking, &m->kernel);
    if (err != -TV_ENOENT)
        tv_report_tracking(m, err);
    m->polled_ns = tv_now_ns();
}

/* When the next incremental checks are due, ns; UINT64_MAX: never. */
static uint64_t next_poll_ns(const struct monitor *m)
{
    return tv_config.poll_ms ? m->polled_ns + tv_config.poll_ms * TV_MS : UINT64_MAX;
}

/* What differs may have been put right, or be worse, once the target has written again: soon, then. */
static bool is_due(const struct monitor *m, uint32_t i)
{
    const struct tv_check_status *s = &m->status[i];
    uint64_t share = tv_checks[i]->check_dirty && m->tracking.touched >> i & 1 ? 1 : SHARE_IF_BAD;
    uint64_t pause = s->cost_ns * (s->verdict == TV_INTACT ? SHARE : share);

    return tv_now_ns() - s->ended_ns >= (pause > AGAIN_NS ? pause : AGAIN_NS);
}

/* Check number `i`, if it is its turn. */
static enum tv_scan_end check_one(struct monitor *m, uint32_t i)
{
    uint32_t scan = m->progress.scans;

    if (m->tracking.active && tv_checks[i]->check_dirty && m->status[i].verdict == TV_INTACT)
        return tv_check_run_whole(m, i, scan, &m->incremental_result, &m->tracking.dirty);
    if (m->progress.scanning || !is_due(m, i))
        return TV_SCAN_DONE;
    m->tracking.touched &= ~(UINT32_C(1) << i);
    return tv_check_run_whole(m, i, scan, &m->scan_result, NULL);
}

static void ask(struct monitor *m)
{
    int err = tv_tracking_ask(&m->tracking, &m->kernel);

    tv_add_cost(m, m->progress.scans, "tracking", tv_now_ns() - m->polled_ns, true);
    if (err)
        tv_report_tracking(m, err);
}

/* Check what the target has written, and run the checks again that are cheap or have found something. */
static enum tv_scan_end poll(struct monitor *m)
{
    enum tv_scan_end end = TV_SCAN_DONE;

    m->polled_ns = tv_now_ns();
    if (!guest_mem_alive(m->kernel.gm))
        return TV_SCAN_GONE;
    tv_pt_cache_flush(&m->kernel);
    if (m->tracking.active)
        ask(m);
    tv_tracking_take(&m->tracking);
    for (uint32_t i = 0; i < tv_check_count && end == TV_SCAN_DONE; i++)
        end = check_one(m, i);
    tv_tracking_taken(&m->tracking);
    tv_add_cost(m, m->progress.scans, "incremental", tv_now_ns() - m->polled_ns, true);
    if (!m->progress.scanning)
        tv_report_costs(m);
    return end;
}

void tv_wait(struct monitor *m, uint64_t until_ns)
{
    while (!m->progress.gone) {
        uint64_t now = tv_now_ns(), beat = m->progress.last_beat_ns + m->run->heartbeat_ms * TV_MS;
        uint64_t next_poll = next_poll_ns(m), next = until_ns < beat ? until_ns : beat;

        if (now >= until_ns)
            return;
        if (now >= beat) {
            tv_heartbeat(m);
        } else if (now >= next_poll) {
            if (tv_kernel_liveness(&m->kernel) == TV_LIVE_STOPPED || poll(m) == TV_SCAN_GONE)
                m->progress.gone = true;
            else if (tv_current_verdict(m) != m->progress.verdict)
                tv_verdict_changed(m);
        } else {
            next = next < next_poll ? next : next_poll;
            tv_sleep_ns(next - now);
        }
    }
}
